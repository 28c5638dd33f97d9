// A storefront with urql: pages are requested by GET and by hash, so that a CDN can cache them, and errors
// are typed data. graphql-codegen generates the types from the schema (codegen.json).
// Usage: node dist/urql.js ENDPOINT

import { strict as assert } from 'node:assert';
import { Client, fetchExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { graphql } from './gql/gql.js';
import type { SessionSignInErrorCode } from './gql/graphql.js';

const [endpoint] = process.argv.slice(2);
assert(endpoint, 'usage: urql.js ENDPOINT');

const PAGE = graphql(`
  query UrqlPage($first: Int, $after: String, $last: Int, $before: String) {
    drops(first: $first, after: $after, last: $last, before: $before, sort: NEWEST) {
      nodes { id slug title phase creator { slug } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`);

const DROP = graphql(`
  query UrqlDrop($creator: String!, $slug: String!) {
    drop(creator: $creator, slug: $slug) {
      id
      title
      descriptionHtml
      items { id variant { sku title } price { amount currency } }
    }
  }
`);

const SIGN_IN = graphql(`
  mutation UrqlSignIn($input: SessionSignInInput!) {
    sessionSignIn(input: $input) { token errors { code message path } }
  }
`);

const answers: Response[] = [];
const client = new Client({
  url: endpoint,
  exchanges: [persistedExchange({ preferGetForPersistedQueries: true }), fetchExchange],
  preferGetMethod: false,
  fetch: async (...request) => {
    const answer = await fetch(...request);
    answers.push(answer);
    return answer;
  },
});

// Load pages forwards and backwards.
const first = (await client.query(PAGE, { first: 3 }).toPromise()).data?.drops;
assert(first?.pageInfo.hasNextPage && first.nodes.length === 3);
const after = first.pageInfo.endCursor ?? null;
const second = (await client.query(PAGE, { first: 3, after }).toPromise()).data?.drops;
assert(second?.pageInfo.hasPreviousPage);
const before = second.pageInfo.startCursor ?? null;
const back = (await client.query(PAGE, { last: 3, before }).toPromise()).data?.drops;
assert.deepEqual(back?.nodes, first.nodes);
// The server did not know the hash of the first request. It knows the later ones, which can be cached.
assert.match(answers.at(-1)?.headers.get('cache-control') ?? '', /public/);

const [shown] = first.nodes;
assert(shown);
const creator = shown.creator?.slug ?? '';
const drop = (await client.query(DROP, { creator, slug: shown.slug }).toPromise()).data?.drop;
assert.equal(drop?.id, shown.id);
const nothing = (await client.query(DROP, { creator, slug: 'no-such-drop' }).toPromise()).data;
assert.equal(nothing?.drop, null);

// Errors that a user can correct are data, with codes that the compiler knows.
const input = { email: 'nobody@example.org', password: 'not the password' };
const refused = await client.mutation(SIGN_IN, { input }).toPromise();
const code: SessionSignInErrorCode | undefined = refused.data?.sessionSignIn.errors[0]?.code;
assert.equal(refused.data?.sessionSignIn.token, null);
assert(code !== undefined);
console.log('urql: pages forwards and backwards by GET, a drop by its slug, a refusal by its code');
