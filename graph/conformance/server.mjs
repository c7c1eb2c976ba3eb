// Where the server is: PENSTOCK_URL and PENSTOCK_TOKEN (scopes read, operate and edit).
export const url = `${process.env.PENSTOCK_URL ?? 'http://127.0.0.1:8080'}/graphql`;
export const token = process.env.PENSTOCK_TOKEN;
if (!token) {
  console.error('Set PENSTOCK_TOKEN to an API token with the scopes read, operate and edit.');
  process.exit(2);
}
export const headers = { Authorization: `Bearer ${token}` };
