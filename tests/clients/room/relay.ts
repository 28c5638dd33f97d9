// A storefront with Relay: a connection, and an object that is fetched again by its global id. The Relay
// compiler checks the schema and generates the types (relay.config.json); babel-plugin-relay inserts its
// artifacts.
// Usage: node dist/relay/relay.js ENDPOINT

import {
  Environment,
  Network,
  RecordSource,
  Store,
  commitMutation,
  fetchQuery,
  graphql,
  type FetchFunction,
  type GraphQLResponse,
} from 'relay-runtime';
import type { relayDropsQuery } from './__generated__/relayDropsQuery.graphql';
import type { relayNodesQuery } from './__generated__/relayNodesQuery.graphql';
import type { relaySignInMutation } from './__generated__/relaySignInMutation.graphql';

const endpoint = process.argv[2] ?? '';

function check(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const ask: FetchFunction = async (operation, variables) => {
  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json, application/json',
    },
    body: JSON.stringify({ query: operation.text, variables }),
  });
  return (await answer.json()) as GraphQLResponse;
};

const environment = new Environment({ network: Network.create(ask), store: new Store(new RecordSource()) });

async function main(): Promise<void> {
  const page = await fetchQuery<relayDropsQuery>(
    environment,
    graphql`
      query relayDropsQuery($first: Int!) {
        drops(first: $first, filter: { phases: [OPEN] }) {
          edges {
            cursor
            node {
              id
              title
              ...relayDrop_drop @relay(mask: false)
            }
          }
          pageInfo {
            hasNextPage
            endCursor
          }
        }
      }
    `,
    { first: 2 },
  ).toPromise();
  const ids = page?.drops.edges.map((edge) => edge.node.id) ?? [];
  check(ids.length === 2, 'two drops are shown');
  const unknown = 'drop_01arz3ndektsv4rrffq69g5fav';
  const nodes = await fetchQuery<relayNodesQuery>(
    environment,
    graphql`
      query relayNodesQuery($ids: [ID!]!) {
        nodes(ids: $ids) {
          __typename
          id
          ...relayDrop_drop @alias(as: "drop")
        }
      }
    `,
    { ids: [...ids, unknown] },
  ).toPromise();
  check(
    nodes?.nodes.length === 3 && nodes.nodes[0]?.id === ids[0] && nodes.nodes[2] === null,
    'nodes are in the order of the ids, with null for an unknown id',
  );
  const refused = await new Promise<relaySignInMutation['response']>((onCompleted, onError) => {
    commitMutation<relaySignInMutation>(environment, {
      mutation: graphql`
        mutation relaySignInMutation($input: SessionSignInInput!) {
          sessionSignIn(input: $input) {
            token
            errors {
              code
              message
            }
          }
        }
      `,
      variables: { input: { email: 'nobody@example.org', password: 'not the password' } },
      onCompleted,
      onError,
    });
  });
  check(
    refused.sessionSignIn.token === null && refused.sessionSignIn.errors.length === 1,
    'the refusal is data',
  );
  console.log('relay: a connection, nodes by their ids, a refusal');
}

// The fields of a drop that several pages show.
void graphql`
  fragment relayDrop_drop on Drop {
    slug
    closesAt
    priceMin {
      amount
      currency
    }
  }
`;

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
