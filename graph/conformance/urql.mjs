// urql: queries, mutations, and subscriptions over WebSocket and over Server-Sent Events.
import assert from 'node:assert/strict';
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { url, socketURL, headers, token, definePipeline, execute, check, pipeline } from './server.mjs';

const sockets = createClient({ url: socketURL, webSocketImpl: WebSocket, connectionParams: { Authorization: `Bearer ${token}` } });
const overSocket = subscriptionExchange({
  forwardSubscription: ({ query, variables }) => ({ subscribe: (sink) => ({ unsubscribe: sockets.subscribe({ query, variables }, sink) }) }),
});
const common = { url, fetchOptions: { headers }, preferGetMethod: false };
const clients = {
  'WebSocket': new Client({ ...common, exchanges: [cacheExchange, overSocket, fetchExchange] }),
  'Server-Sent Events': new Client({ ...common, fetchSubscriptions: true, exchanges: [cacheExchange, fetchExchange] }),
};
await definePipeline();
await check('urql: a query, by POST and by GET', async () => {
  for (const preferGetMethod of [false, 'force']) {
    const { data, error } = await new Client({ ...common, preferGetMethod, exchanges: [fetchExchange] }).query('{ viewer { name } }', {}).toPromise();
    assert.ok(!error && data.viewer.name, String(error));
  }
});
await check('urql: a mutation', async () => {
  const { data } = await clients.WebSocket.mutation('mutation($n: String!) { executePipelineDefinition(input: { name: $n }) { run { runId } userErrors { code } } }', { n: pipeline }).toPromise();
  assert.ok(data.executePipelineDefinition.run.runId);
});
for (const [label, client] of Object.entries(clients)) {
  await check(`urql: follows a run over ${label}`, async () => {
    const r = await execute();
    const sequences = await new Promise((resolve, reject) => {
      const seen = [];
      client.subscription('subscription($r: ID!) { runProgress(runId: $r, after: "") { __typename sequence } }', { r }).subscribe(({ data, error }) => {
        if (error) reject(error);
        if (data) seen.push(data.runProgress.sequence);
        if (data?.runProgress.__typename === 'RunFinished') resolve(seen);
      });
    });
    assert.deepEqual(sequences, sequences.map((_, i) => i + 1));
  });
  await check(`urql: follows a list over ${label}`, async () => {
    const { runs: { changesCursor: a } } = (await client.query('{ runs(first: 1) { changesCursor } }', {}, { requestPolicy: 'network-only' }).toPromise()).data;
    const runId = await execute();
    await new Promise((resolve, reject) => client.subscription('subscription($a: String) { runsChanged(after: $a) { cursor runId status run { id } } }', { a })
      .subscribe(({ data, error }) => (error ? reject(error) : data.runsChanged.runId === runId && data.runsChanged.status === 'COMPLETED' && resolve())));
  });
}
process.exit(0);
