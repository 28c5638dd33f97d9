// Runs the audits of graphql-http against an endpoint, and prints all results as one line of JSON.

import { serverAudits } from 'graphql-http';

const [url] = process.argv.slice(2);
const results = [];
// Run the audits one after the other, so that the results are in order.
for (const { id, name, fn } of serverAudits({ url })) {
  const { status, reason, response } = await fn();
  const answer = status === 'ok' ? null : `${response.status} ${response.headers.get('content-type')}`;
  results.push({ id, name, status, reason, answer });
}
console.log(JSON.stringify(results));
