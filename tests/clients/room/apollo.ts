// A storefront with Apollo Client: a list that grows page by page, and a reservation from the quote to the
// paid deposit. graphql-codegen generates the types from the schema (codegen.json).
// Usage: node dist/apollo.js ENDPOINT BUYER-TOKEN

import { strict as assert } from 'node:assert';
import { createHash, randomUUID } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { relayStylePagination } from '@apollo/client/utilities';
import { graphql } from './gql/gql.js';

const [endpoint, token] = process.argv.slice(2);
assert(endpoint && token, 'usage: apollo.js ENDPOINT BUYER-TOKEN');

const DROPS = graphql(`
  query ApolloDrops($first: Int!, $after: String) {
    drops(first: $first, after: $after, filter: { phases: [OPEN] }, sort: CLOSES_SOONEST) {
      nodes { id title closesAt priceMin { amount currency } creator { id name } items { id stock { free } } }
      edges { cursor node { id } }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

const QUOTE = graphql(`
  query ApolloQuote($input: CheckoutQuoteInput!) {
    checkoutQuote(input: $input) {
      quote { total { amount currency } dueNow { amount currency } }
      errors { code message path }
    }
    legalTexts { id kind title }
  }
`);

const RESERVE = graphql(`
  mutation ApolloReserve($input: CheckoutReserveInput!) {
    checkoutReserve(input: $input) {
      replayed
      checkout { id status expiresAt dueNow { amount currency } }
      errors { code message path }
    }
  }
`);

const PAY = graphql(`
  mutation ApolloPay($input: CheckoutPayInput!) {
    checkoutPay(input: $input) { payment { id status } errors { code message path } }
  }
`);

const CHECKOUT = graphql(`
  query ApolloCheckout($id: ID!) {
    checkout(id: $id) { id status payment { id status action { url } } }
  }
`);

// Queries are sent by their hash. The text is only sent if the server does not know the hash yet.
const byHash = new PersistedQueryLink({ sha256: (text) => createHash('sha256').update(text).digest('hex') });
const client = new ApolloClient({
  link: ApolloLink.from([
    byHash,
    new HttpLink({ uri: endpoint, headers: { authorization: `Bearer ${token}` } }),
  ]),
  cache: new InMemoryCache({
    typePolicies: { Query: { fields: { drops: relayStylePagination(['filter', 'sort']) } } },
  }),
});

// Load one page and the next; the cache merges them.
const drops = client.watchQuery({ query: DROPS, variables: { first: 2 } });
const first = await drops.reobserve();
assert(first.data?.drops.pageInfo.hasNextPage, 'the demo has more than two open drops');
await drops.fetchMore({ variables: { after: first.data.drops.pageInfo.endCursor } });
const seen = drops.getCurrentResult().data?.drops?.edges?.length;
assert.equal(seen, 4);

// Find an item with free units, its price, and the legal texts.
const item = first.data.drops.nodes.flatMap((drop) => drop.items).find((item) => item.stock.free > 0);
assert(item, 'an item has free units');
const lines = [{ itemId: item.id, units: 1, delivery: 'SHIPPING' as const }];
const quoted = await client.query({ query: QUOTE, variables: { input: { lines, country: 'DE' } } });
const quote = quoted.data?.checkoutQuote.quote;
assert(quote, JSON.stringify(quoted.data));

// The same idempotency key returns the same reservation, so a request can be retried after a timeout.
const input = {
  lines,
  address: {
    name: 'Robin Example',
    line1: '12 Sample Street',
    postalCode: '10115',
    city: 'Berlin',
    country: 'DE',
  },
  expectedTotal: { amount: quote.total.amount, currency: quote.total.currency },
  acceptedLegalTextIds: (quoted.data?.legalTexts ?? []).map((text) => text.id),
  idempotencyKey: randomUUID(),
};
const reserved = (await client.mutate({ mutation: RESERVE, variables: { input } })).data?.checkoutReserve;
assert(reserved?.checkout?.status === 'HELD', JSON.stringify(reserved));
const again = (await client.mutate({ mutation: RESERVE, variables: { input } })).data?.checkoutReserve;
assert.deepEqual([again?.replayed, again?.checkout?.id], [true, reserved.checkout.id]);

// The outcome arrives by a webhook a moment later.
const checkoutId = reserved.checkout.id;
const paying = { checkoutId, paymentMethod: 'pm_sandbox_success', idempotencyKey: randomUUID() };
const paid = (await client.mutate({ mutation: PAY, variables: { input: paying } })).data?.checkoutPay;
assert.deepEqual(paid?.errors, []);
const follow = client.watchQuery({
  query: CHECKOUT,
  variables: { id: checkoutId },
  pollInterval: 100,
  fetchPolicy: 'network-only',
});
await new Promise<void>((done, failed) => {
  setTimeout(() => failed(new Error('the deposit was not confirmed')), 20_000).unref();
  follow.subscribe(({ data }) => data?.checkout?.status === 'CONFIRMED' && done());
});
follow.stopPolling();
client.stop();
console.log('apollo: a page and the next, a price, a reservation, its deposit');
process.exit(0);
