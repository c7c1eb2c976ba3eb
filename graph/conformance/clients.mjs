// The reference clients graphql-ws and graphql-sse: follow runs, resume, survive a neighbour's error.
import assert from 'node:assert/strict';
import { createClient as createSocketClient } from 'graphql-ws';
import { createClient as createEventClient } from 'graphql-sse';
import WebSocket from 'ws';
import { url, headers, token } from './server.mjs';

const name = 'conformance';
const config = {
  version: '1.0',
  nodes: [
    { id: 'host', type: 'context', config: { include: ['memory'] } },
    { id: 'figures', type: 'transform', config: { source_node: 'host', mapping: { used: 'system.memory.percent' } } },
  ],
};
const follow = `subscription($r: ID!, $a: String) { runProgress(runId: $r, after: $a) { __typename sequence cursor } }`;

async function post(query, variables) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  const result = await response.json();
  assert.equal(result.errors, undefined, JSON.stringify(result.errors));
  return result.data;
}

async function execute() {
  const { executePipelineDefinition: payload } = await post(
    `mutation($n: String!) { executePipelineDefinition(input: { name: $n }) { run { runId } userErrors { message } } }`, { n: name });
  assert.deepEqual(payload.userErrors, []);
  return payload.run.runId;
}

async function collect(client, r, a) {
  const events = [];
  for await (const result of client.iterate({ query: follow, variables: { r, a } })) {
    assert.equal(result.errors, undefined, JSON.stringify(result.errors));
    events.push(result.data.runProgress);
  }
  events.forEach((e, i) => assert.ok(i === 0 || e.sequence === events[i - 1].sequence + 1, 'a gap in sequence'));
  assert.equal(events.at(-1)?.__typename, 'RunFinished');
  return events;
}

async function check(label, test) {
  await test();
  console.log(`ok ${label}`);
}

await post(`mutation($n: String!, $c: JSON!) { createPipelineDefinition(input: { name: $n, config: $c }) { userErrors { code } } }`, { n: name, c: config });

const socket = (options) => createSocketClient({ url: url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, retryAttempts: 0, ...options });
const clients = {
  'graphql-ws': socket({ connectionParams: { Authorization: `Bearer ${token}` } }),
  'graphql-sse': createEventClient({ url, headers, retryAttempts: 0 }),
};
for (const [label, client] of Object.entries(clients)) {
  await check(`${label}: follows a run to its end`, async () => { await collect(client, await execute()); });
  await check(`${label}: resumes after every cursor`, async () => {
    const run = await execute();
    const whole = await collect(client, run, '');
    assert.equal(whole[0].sequence, 1);
    for (const [i, e] of whole.slice(0, -1).entries()) assert.deepEqual(await collect(client, run, e.cursor), whole.slice(i + 1));
  });
  await check(`${label}: an error harms no neighbour`, async () => {
    const run = await execute();
    const all = collect(client, run, '');
    const bad = async (query) => { for await (const result of client.iterate({ query })) if (result.errors) throw result.errors; };
    await assert.rejects(bad('{ nope }'));
    await assert.rejects(bad('subscription { runProgress(runId: "nope") { cursor } }'));
    await all;
  });
  await check(`${label}: runs a query`, async () => {
    for await (const result of client.iterate({ query: '{ viewer { name } }' })) assert.ok(result.data.viewer.name);
  });
}
await check('graphql-ws: a wrong token is refused with 4403', async () => {
  const client = socket({ connectionParams: { Authorization: 'Bearer wrong' } });
  await assert.rejects(collect(client, 'x'), (event) => event.code === 4403);
});
for (const client of Object.values(clients)) client.dispose();
