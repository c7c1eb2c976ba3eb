// The reference clients graphql-ws and graphql-sse: follow runs, resume, survive a neighbour's error.
import assert from 'node:assert/strict';
import { createClient as createSocketClient } from 'graphql-ws';
import { createClient as createEventClient } from 'graphql-sse';
import WebSocket from 'ws';
import { url, socketURL, headers, token, definePipeline, execute, check } from './server.mjs';

const follow = `subscription($r: ID!, $a: String) { runProgress(runId: $r, after: $a) { __typename sequence cursor } }`;

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

await definePipeline();

const socket = (options) => createSocketClient({ url: socketURL, webSocketImpl: WebSocket, retryAttempts: 0, ...options });
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
