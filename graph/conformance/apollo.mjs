// Apollo Client: queries, pages merged by its cache, persisted queries, mutations with user errors, subscriptions.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { relayStylePagination } from '@apollo/client/utilities';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { url, socketURL, headers, token, definePipeline, execute, check, pipeline } from './server.mjs';

const sockets = createClient({ url: socketURL, webSocketImpl: WebSocket, connectionParams: { Authorization: `Bearer ${token}` } });
const persisted = new PersistedQueryLink({ sha256: (text) => createHash('sha256').update(text).digest('hex') });
const sent = [];
const http = new HttpLink({ uri: url, headers, fetch: (target, init) => { sent.push(init.body); return fetch(target, init); } });
const client = new ApolloClient({
  cache: new InMemoryCache({ typePolicies: { Query: { fields: { runs: relayStylePagination(['filter']) } } } }),
  link: ApolloLink.split(({ operationType }) => operationType === 'subscription', new GraphQLWsLink(sockets), persisted.concat(http)),
});
await definePipeline();

const page = gql`query Page($after: String) { runs(first: 2, after: $after, filter: { definition: "${pipeline}" }) {
  edges { cursor node { id runId status stages { nodeId status } } } pageInfo { hasNextPage endCursor } } }`;
await check('Apollo: pages are merged in the cache', async () => {
  for (let i = 0; i < 4; i++) await execute();
  const first = client.watchQuery({ query: page });
  const subscription = first.subscribe(() => {});
  const { data } = await client.query({ query: page });
  await first.fetchMore({ variables: { after: data.runs.pageInfo.endCursor } });
  assert.equal(client.readQuery({ query: page }).runs.edges.length, 4);
  subscription.unsubscribe();
});
await check('Apollo: a query is persisted by its hash', async () => {
  const query = gql`query Viewer { viewer { name scopes } }`;
  for (let i = 0; i < 2; i++) {
    const { data } = await client.query({ query, fetchPolicy: 'network-only' });
    assert.ok(data.viewer.name);
  }
  assert.equal(JSON.parse(sent.at(-1)).query, undefined, 'the second time the hash alone was sent');
});
await check('Apollo: mutations answer with user errors', async () => {
  const { data } = await client.mutate({ mutation: gql`mutation { cancelRun(input: { runId: "none" }) { run { id } userErrors { code message field } } }` });
  assert.equal(data.cancelRun.userErrors[0].code, 'NOT_FOUND');
});
await check('Apollo: a subscription follows a run to its end', async () => {
  const runId = await execute();
  const events = await new Promise((resolve, reject) => {
    const seen = [];
    client.subscribe({ query: gql`subscription Follow($runId: ID!) { runProgress(runId: $runId, after: "") { __typename sequence ... on RunFinished { status run { id status } } } }`, variables: { runId } })
      .subscribe({ next: ({ data }) => seen.push(data.runProgress), error: reject, complete: () => resolve(seen) });
  });
  assert.deepEqual(events.map((e) => e.sequence), events.map((_, i) => i + 1));
  assert.equal(events.at(-1).run.status, 'COMPLETED');
});
client.stop();
await sockets.dispose();
