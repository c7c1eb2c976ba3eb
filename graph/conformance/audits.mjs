// The server audits of graphql-http: all must be ok.
import { auditServer } from 'graphql-http';
import { url, headers } from './server.mjs';

const results = await auditServer({
  url,
  fetchFn: (target, init = {}) => fetch(target, { ...init, headers: { ...headers, ...init.headers } }),
});
const failed = results.filter((r) => r.status !== 'ok');
for (const r of failed) console.error(`${r.status} ${r.id} ${r.name}: ${r.reason}`);
console.log(`graphql-http audits: ${results.length - failed.length} of ${results.length} ok`);
process.exitCode = failed.length ? 1 : 0;
