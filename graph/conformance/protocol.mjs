// The rules of graphql-transport-ws (PROTOCOL.md of graphql-ws), one by one, message by message.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { socketURL, headers, definePipeline, execute, check } from './server.mjs';

// A socket whose messages are read one after the other; the last one is {closed: code}.
async function open({ protocols = 'graphql-transport-ws', authorized = true } = {}) {
  const ws = new WebSocket(socketURL, protocols, { headers: authorized ? headers : {} });
  const waiting = [];
  const come = [];
  const put = (m) => (waiting.length ? waiting.shift()(m) : come.push(m));
  ws.on('message', (data) => put(JSON.parse(data)));
  ws.on('close', (code) => put({ closed: code }));
  await new Promise((resolve, reject) => { ws.on('open', resolve); ws.on('error', reject); });
  return {
    ws,
    send: (m) => ws.send(typeof m === 'string' || m instanceof Uint8Array ? m : JSON.stringify(m)),
    next: () => (come.length ? Promise.resolve(come.shift()) : new Promise((resolve) => waiting.push(resolve))),
    async want(expected) {
      const m = await this.next();
      for (const [key, value] of Object.entries(expected)) assert.deepEqual(m[key], value, JSON.stringify(m));
      return m;
    },
  };
}

async function ready() {
  const s = await open();
  s.send({ type: 'connection_init' });
  await s.want({ type: 'connection_ack' });
  return s;
}

const subscribe = (id, query, variables) => ({ id, type: 'subscribe', payload: { query, variables } });
const closes = (code, first, start = ready) => async () => {
  const s = await start();
  for (const m of [first].flat()) s.send(m);
  for (;;) {
    const m = await s.next();
    if ('closed' in m) return assert.equal(m.closed, code);
  }
};
const follow = 'subscription($r: ID!) { runProgress(runId: $r, after: "") { sequence __typename } }';
await definePipeline();

await check('the subprotocol is graphql-transport-ws', async () => {
  const s = await open();
  assert.equal(s.ws.protocol, 'graphql-transport-ws');
  s.ws.close();
});
await check('another subprotocol is closed with 4406', async () => {
  const ws = new WebSocket(socketURL, [], { headers });
  const code = await new Promise((resolve) => ws.on('close', resolve));
  assert.equal(code, 4406);
});
await check('connection_init is acknowledged, with a payload too', async () => {
  const s = await open();
  s.send({ type: 'connection_init', payload: { any: 'thing' } });
  await s.want({ type: 'connection_ack' });
});
await check('without connection_init the socket is closed with 4408', closes(4408, [], open));
await check('a second connection_init is closed with 4429', closes(4429, { type: 'connection_init' }));
await check('subscribe before the acknowledgement is closed with 4401', closes(4401, subscribe('1', '{ __typename }'), open));
await check('nobody is refused with 4403', closes(4403, { type: 'connection_init' }, () => open({ authorized: false })));
await check('ping is answered by pong with its payload, before the acknowledgement too', async () => {
  const s = await open();
  s.send({ type: 'ping', payload: { n: 1 } });
  await s.want({ type: 'pong', payload: { n: 1 } });
  s.send({ type: 'ping' });
  await s.want({ type: 'pong' });
});
await check('pong at any time is accepted', async () => {
  const s = await ready();
  s.send({ type: 'pong', payload: {} });
  s.send({ type: 'ping' });
  await s.want({ type: 'pong' });
});
for (const [what, m] of Object.entries({
  'no JSON': '{', 'no object': '[]', 'no type': '{}', 'an unknown type': { type: 'start' }, binary: new Uint8Array([123, 125]),
  'subscribe without id': { type: 'subscribe', payload: { query: '{ __typename }' } },
  'subscribe with an empty id': subscribe('', '{ __typename }'),
  'subscribe without payload': { id: '1', type: 'subscribe' },
  'complete without id': { type: 'complete' },
  'a payload that is no object': { type: 'ping', payload: 1 },
})) await check(`${what} is closed with 4400`, closes(4400, m));
await check('a query gives next and complete', async () => {
  const s = await ready();
  s.send(subscribe('q', '{ __typename }'));
  await s.want({ id: 'q', type: 'next', payload: { data: { __typename: 'Query' } } });
  await s.want({ id: 'q', type: 'complete' });
});
await check('a mutation gives next and complete', async () => {
  const s = await ready();
  s.send(subscribe('m', 'mutation { retryRun(input: { runId: "none" }) { userErrors { code } } }'));
  await s.want({ id: 'm', type: 'next', payload: { data: { retryRun: { userErrors: [{ code: 'NOT_FOUND' }] } } } });
  await s.want({ id: 'm', type: 'complete' });
});
await check('a request error gives error with a list, and nothing after it', async () => {
  const s = await ready();
  s.send(subscribe('e', '{ nope }'));
  const m = await s.want({ id: 'e', type: 'error' });
  assert.ok(Array.isArray(m.payload) && m.payload[0].message);
  s.send({ type: 'ping' });
  await s.want({ type: 'pong' });
});
await check('an error of a field is part of next', async () => {
  const s = await ready();
  s.send(subscribe('f', '{ __typename runs(after: "x") { totalCount } }'));
  const m = await s.want({ id: 'f', type: 'next' });
  assert.equal(m.payload.errors[0].extensions.code, 'BAD_USER_INPUT');
  await s.want({ id: 'f', type: 'complete' });
});
await check('an id in use is closed with 4409', async () => {
  const s = await ready();
  s.send(subscribe('1', 'subscription { runsChanged { cursor } }'));
  s.send(subscribe('1', 'subscription { runsChanged { cursor } }'));
  await s.want({ closed: 4409 });
});
await check('an id is free after complete of either side', async () => {
  const s = await ready();
  for (let i = 0; i < 3; i++) {
    s.send(subscribe('1', '{ __typename }'));
    await s.want({ id: '1', type: 'next' });
    await s.want({ id: '1', type: 'complete' });
  }
  s.send(subscribe('1', 'subscription { runsChanged { cursor } }'));
  s.send({ id: '1', type: 'complete' });
  s.send(subscribe('1', '{ __typename }'));
  await s.want({ id: '1', type: 'next', payload: { data: { __typename: 'Query' } } });
});
await check('complete for an id that is not known is ignored', async () => {
  const s = await ready();
  s.send({ id: 'nope', type: 'complete' });
  s.send({ type: 'ping' });
  await s.want({ type: 'pong' });
});
await check('a subscription streams and completes; others go on beside it', async () => {
  const s = await ready();
  const r = await execute();
  s.send(subscribe('s', follow, { r }));
  s.send(subscribe('q', '{ __typename }'));
  const got = { s: [], q: [] };
  while (got.s.at(-1) !== 'complete' || got.q.at(-1) !== 'complete') {
    const m = await s.next();
    got[m.id].push(m.type === 'next' ? m.payload.data.runProgress?.sequence ?? 'data' : m.type);
  }
  assert.deepEqual(got.q, ['data', 'complete']);
  assert.deepEqual(got.s, [...got.s.keys()].slice(1).concat('complete'));
});
await check('nothing comes for an id after complete from the client', async () => {
  const s = await ready();
  s.send(subscribe('1', 'subscription { runsChanged { cursor } }'));
  s.send({ id: '1', type: 'complete' });
  s.send({ type: 'ping' });
  await s.want({ type: 'pong' });
  const r = await execute();
  s.send(subscribe('2', follow, { r }));
  for (let m = await s.next(); m.type !== 'complete'; m = await s.next()) assert.equal(m.id, '2');
});
process.exit(0);
