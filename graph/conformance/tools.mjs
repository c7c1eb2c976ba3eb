// What is built on the schema: Relay's compiler, GraphQL codegen with TypeScript, two linters, graphql-inspector.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { codegen } from '@graphql-codegen/core';
import * as typescript from '@graphql-codegen/typescript';
import * as operations from '@graphql-codegen/typescript-operations';
import eslintPlugin from '@graphql-eslint/eslint-plugin';
import { coverage, CriticalityLevel, diff, validate } from '@graphql-inspector/core';
import { ESLint } from 'eslint';
import { buildSchema, parse, Source } from 'graphql';
import ts from 'typescript';
import { schema, check } from './server.mjs';

const require = createRequire(import.meta.url);
const dir = mkdtempSync('tmp-'); // below this folder, so that what is made finds node_modules
try {
  const file = join(dir, 'schema.graphql');
  const sdl = await schema();
  writeFileSync(file, sdl);
  const documents = readFileSync('operations.graphql', 'utf8');

  await check('Relay: fragments, pagination, refetch by node(id:), mutations and subscriptions compile', () => {
    const src = join(dir, 'src');
    mkdirSync(src);
    writeFileSync(join(src, 'App.js'), readFileSync('relay.js'));
    writeFileSync(join(dir, 'relay.config.json'), JSON.stringify({ src: './src', schema: './schema.graphql', language: 'javascript', eagerEsModules: true }));
    execFileSync(process.execPath, [require.resolve('relay-compiler/cli.js'), 'relay.config.json'], { cwd: dir, stdio: ['ignore', 'ignore', 'inherit'] });
    assert.equal(readdirSync(join(src, '__generated__')).length, 7);
  });

  await check('codegen: the types fit what a client writes', async () => {
    const code = await codegen({
      filename: 'api.ts', schema: parse(sdl), documents: [{ document: parse(documents) }],
      config: { scalars: { JSON: 'unknown', DateTime: 'string', Int64: 'number', Duration: 'string' } },
      plugins: [{ typescript: {} }, { operations: {} }], pluginMap: { typescript, operations },
    });
    const use = join(dir, 'use.ts');
    writeFileSync(join(dir, 'api.ts'), code);
    writeFileSync(use, `import type { RunsQuery, FollowSubscription, ExecuteMutationVariables } from './api';
      export const input: ExecuteMutationVariables = { input: { name: 'x', payload: { a: 1 } } };
      export const first = (d: RunsQuery): string | undefined => d.runs?.nodes[0]?.stages[0]?.nodeId;
      export const status = (d: FollowSubscription) => d.runProgress.__typename === 'RunFinished' ? d.runProgress.status : null;
      // @ts-expect-error there is no such field
      export const wrong = (d: RunsQuery) => d.runs?.nodes[0]?.nope;`);
    const program = ts.createProgram([use], { strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler });
    const problems = ts.getPreEmitDiagnostics(program).map((d) => ts.flattenDiagnosticMessageText(d.messageText, '\n'));
    assert.deepEqual(problems, []);
  });

  await check('graphql-schema-linter: no finding', () => {
    // Not defined-types-are-used: the enum ErrorCode documents `extensions.code`, which no field returns.
    const rules = ['deprecations-have-a-reason', 'descriptions-are-capitalized', 'enum-values-all-caps', 'enum-values-have-descriptions',
      'fields-are-camel-cased', 'fields-have-descriptions', 'input-object-values-are-camel-cased', 'input-object-values-have-descriptions',
      'relay-connection-types-spec', 'relay-connection-arguments-spec', 'relay-page-info-spec', 'types-are-capitalized', 'types-have-descriptions'];
    execFileSync(process.execPath, [require.resolve('graphql-schema-linter/lib/cli.js'), '--rules', rules.join(','), file], { stdio: ['ignore', 'inherit', 'inherit'] });
  });

  await check('graphql-eslint: no finding', async () => {
    const all = { ...eslintPlugin.configs['flat/schema-all'].rules, ...eslintPlugin.configs['flat/schema-relay'].rules };
    // The schema is ordered by meaning, has root types, deprecates nothing yet, has types that are no records, and payloads
    // that do not lead back to the query.
    for (const name of ['alphabetize', 'no-root-type', 'require-deprecation-date', 'strict-id-in-types', 'require-field-of-type-query-in-mutation-result']) {
      delete all[`@graphql-eslint/${name}`];
    }
    all['@graphql-eslint/relay-edge-types'] = ['error', { listTypeCanWrapOnlyEdgeType: false }];
    const wanted = [ // names, beside `runId` and the like, that the whole product uses, and the documentation of `extensions.code`
      'Type "NodeType" should not have "Type" suffix',
      'Enum type `ErrorCode` is unreachable.',
    ];
    const eslint = new ESLint({
      overrideConfigFile: true,
      overrideConfig: [{
        files: ['**/*.graphql'], plugins: { '@graphql-eslint': eslintPlugin },
        languageOptions: { parser: eslintPlugin.parser, parserOptions: { graphQLConfig: { schema: file } } }, rules: all,
      }],
    });
    const [result] = await eslint.lintFiles([file]);
    const findings = result.messages.filter((m) => !wanted.includes(m.message) && !/^Field "\w+Id" starts with/.test(m.message)).map((m) => `${m.line}: ${m.message} (${m.ruleId})`);
    assert.deepEqual(findings, []);
  });
  await check('graphql-inspector: the documents of the guide and of these suites are valid and use every kind of root', () => {
    const guide = [...readFileSync('../../docs/graphql.md', 'utf8').matchAll(/^```graphql\n([\s\S]*?)^```/gm)].map(([, text]) => text);
    const sources = [documents, ...guide].map((text, i) => new Source(text, `document ${i}`));
    const invalid = validate(buildSchema(sdl), sources).map((found) => `${found.source.name}: ${found.errors.join(', ')}`);
    assert.deepEqual(invalid, []);
    const { types } = coverage(buildSchema(sdl), sources);
    for (const root of ['Query', 'Mutation', 'Subscription']) assert.ok(types[root].hits > 0, root);
  });

  await check('graphql-inspector: nothing breaks the clients of the last release', () => {
    const git = (...args) => execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    let released;
    try {
      released = git('describe', '--tags', '--abbrev=0', '--match', 'v*', 'HEAD');
    } catch {
      return console.log('   there is no release yet');
    }
    const before = buildSchema(git('show', `${released}:graph/schema.graphql`));
    return diff(before, buildSchema(sdl)).then((changes) => assert.deepEqual(
      changes.filter((c) => c.criticality.level === CriticalityLevel.Breaking).map((c) => c.message), []));
  });
} finally {
  rmSync(dir, { recursive: true });
}
process.exit(0);
