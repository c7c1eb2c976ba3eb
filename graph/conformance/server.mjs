// What the suites share: where the server is (PENSTOCK_URL and PENSTOCK_TOKEN, an API token with the scopes read,
// operate and edit), its schema, and a pipeline to run.
import assert from 'node:assert/strict';
import { buildClientSchema, getIntrospectionQuery, printSchema } from 'graphql';

export const url = `${process.env.PENSTOCK_URL ?? 'http://127.0.0.1:8080'}/graphql`;
export const socketURL = url.replace(/^http/, 'ws');
export const token = process.env.PENSTOCK_TOKEN;
if (!token) {
  console.error('Set PENSTOCK_TOKEN to an API token with the scopes read, operate and edit.');
  process.exit(2);
}
export const headers = { Authorization: `Bearer ${token}` };

export async function post(query, variables) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  const result = await response.json();
  assert.equal(result.errors, undefined, JSON.stringify(result.errors));
  return result.data;
}

// The schema as a client sees it: by introspection of the server.
export async function schema() {
  return printSchema(buildClientSchema(await post(getIntrospectionQuery({ specifiedByUrl: true, inputValueDeprecation: true }))));
}

export const pipeline = 'conformance';

export async function definePipeline() {
  const config = {
    version: '1.0',
    nodes: [
      { id: 'host', type: 'context', config: { include: ['memory'] } },
      { id: 'figures', type: 'transform', config: { source_node: 'host', mapping: { used: 'system.memory.percent' } } },
    ],
  };
  await post(`mutation($n: String!, $c: JSON!) { createPipelineDefinition(input: { name: $n, config: $c }) { userErrors { code } } }`,
    { n: pipeline, c: config });
}

export async function execute() {
  const { executePipelineDefinition: payload } = await post(
    `mutation($n: String!) { executePipelineDefinition(input: { name: $n }) { run { runId } userErrors { message } } }`, { n: pipeline });
  assert.deepEqual(payload.userErrors, []);
  return payload.run.runId;
}

export async function check(label, test) {
  await test();
  console.log(`ok ${label}`);
}
