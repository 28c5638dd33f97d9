// Live updates with `graphql-sse`, the reference client of GraphQL over server-sent events.
// Argument: JSON with url, drop, token, reserve, input.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-sse';

const { url, drop, token, reserve, input } = JSON.parse(process.argv[2]);
const STOCK = 'subscription ($id: ID!) { stockChanged(dropId: $id) { soldOut items { id stock { free } } } }';

/** What a storefront writes: a request for each operation, which is the "distinct connections mode". */
function connect(token) {
  const headers = () => (token ? { authorization: `Bearer ${token}` } : {});
  return createClient({ url, headers, retryAttempts: 0 });
}

async function one(client, query, variables) {
  const results = [];
  for await (const result of client.iterate({ query, variables })) results.push(result);
  assert.equal(results.length, 1);
  return results[0];
}

const client = connect(token);
const stock = client.iterate({ query: STOCK, variables: { id: drop } });
const free = async () => (await stock.next()).value.data.stockChanged.items[0].stock.free;
const before = await free();
const made = await one(client, reserve, { input: { ...input, idempotencyKey: 'by-graphql-sse' } });
assert.equal(made.data.checkoutReserve.checkout.status, 'HELD');
assert.equal(await free(), before - 1);

assert.deepEqual((await one(client, '{ __typename }')).data, { __typename: 'Query' });
const refused = await one(client, 'subscription { dropChanged(id: "x") { nothing } }');
assert.equal(refused.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
const unknown = await one(client, 'subscription { dropChanged(id: "nothing") { id } }');
assert.deepEqual(unknown.data, { dropChanged: null });
await stock.return();

const stranger = connect('sr_ses_nobodys');
await assert.rejects(one(stranger, '{ __typename }'), (error) => error.response.status === 401);

console.log('graphql-sse: ok');
process.exit(0);
