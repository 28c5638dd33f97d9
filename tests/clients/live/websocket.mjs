// Live updates with `graphql-ws`, the reference client of graphql-transport-ws.
// Argument: JSON with url, drop, token, reserve, input.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const { url, drop, token, reserve, input } = JSON.parse(process.argv[2]);
const STOCK = 'subscription ($id: ID!) { stockChanged(dropId: $id) { soldOut items { id stock { free } } } }';

/** What a storefront writes: one socket, opened with the first operation, closed after the last. */
function connect(options = {}) {
  return createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    // This is a function, so that a new connection uses the current token.
    connectionParams: () => (options.token ? { authorization: `Bearer ${options.token}` } : undefined),
    retryAttempts: 0,
    ...options,
  });
}

async function one(client, query, variables) {
  const results = [];
  for await (const result of client.iterate({ query, variables })) results.push(result);
  assert.equal(results.length, 1);
  return results[0];
}

const events = { connected: 0, pings: 0, pongs: 0 };
const client = connect({
  token,
  keepAlive: 200,
  on: {
    connected: () => (events.connected += 1),
    ping: (received) => (events.pings += received ? 0 : 1),
    pong: (received) => (events.pongs += received ? 1 : 0),
  },
});

// A subscription yields the current state first, then the effect of a mutation over the same socket.
const stock = client.iterate({ query: STOCK, variables: { id: drop } });
const free = async () => (await stock.next()).value.data.stockChanged.items[0].stock.free;
const before = await free();
const made = await one(client, reserve, { input: { ...input, idempotencyKey: 'by-graphql-ws' } });
assert.equal(made.data.checkoutReserve.checkout.status, 'HELD');
assert.equal(await free(), before - 1);

// A query.
assert.deepEqual((await one(client, '{ __typename }')).data, { __typename: 'Query' });

// An operation that cannot run gets an `error` message; the client throws its list of errors.
for (const [query, code] of [
  ['{ nothing }', 'GRAPHQL_VALIDATION_FAILED'],
  ['subscription { dropChanged(id: "x") { nothing } }', 'GRAPHQL_VALIDATION_FAILED'],
]) {
  await assert.rejects(one(client, query), ([error]) => error.extensions.code === code);
}

// A subscription to an unknown object yields null and completes.
const unknown = await one(client, 'subscription { dropChanged(id: "nothing") { id } }');
assert.deepEqual(unknown.data, { dropChanged: null });

// The client's own pings are answered.
while (events.pongs < 2) await new Promise((resolve) => setTimeout(resolve, 20));
assert.equal(events.connected, 1, 'all operations used one socket');

// Completing a subscription ends it on both sides.
await stock.return();
await client.dispose();

// Run twenty subscriptions at once.
const many = connect();
const watching = Array.from({ length: 20 }, () => many.iterate({ query: STOCK, variables: { id: drop } }));
for (const each of watching) {
  const { data } = (await each.next()).value;
  assert.equal(data.stockChanged.items[0].stock.free, before - 1);
}
await Promise.all(watching.map((each) => each.return()));

// An invalid token is refused.
const closed = await new Promise((resolve) => {
  const stranger = connect({ token: 'sr_ses_nobodys', on: { closed: resolve } });
  const sink = { next: assert.fail, error: () => {}, complete: assert.fail };
  stranger.subscribe({ query: '{ __typename }' }, sink);
});
assert.equal(closed.code, 4403);

console.log('graphql-ws: ok');
process.exit(0);
