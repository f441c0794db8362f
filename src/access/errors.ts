import { defineErrors } from '../core/index.js'

export const AccessErrors = defineErrors('ACCESS', {
  INSECURE_BIND: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { host: string }) =>
      `Refusing to listen on "${p.host}": anyone who reaches it could use the models, because no keys exist yet. Make the first with "headrace keys create --name admin --role admin", listen on 127.0.0.1, or pass --insecure if something in front of the server authenticates callers.`,
  },
  HOST_REFUSED: {
    status: 403,
    retry: false,
    level: 'warn',
    message: (p: { host: string }) =>
      `The Host header "${p.host}" is not a loopback name. An unauthenticated server answers only localhost, 127.0.0.1 and [::1], so that a web page cannot reach it through DNS rebinding. Call it by one of these names.`,
  },
  ORIGIN_REFUSED: {
    status: 403,
    retry: false,
    level: 'warn',
    message: (p: { origin: string }) =>
      `The Origin "${p.origin}" is another web site. An unauthenticated server answers only pages of its own host.`,
  },
  CREDENTIALS_MISSING: {
    status: 401,
    retry: false,
    level: 'info',
    message: () =>
      'This server answers only callers with a key. Send "Authorization: Bearer <key>", or "x-api-key: <key>". An admin makes keys with "headrace keys create".',
  },
  CREDENTIALS_MALFORMED: {
    status: 401,
    retry: false,
    level: 'info',
    message: (p: { problem: string }) =>
      `The credentials cannot be read: ${p.problem}. Send one of "Authorization: Bearer <key or token>", basic authentication with the key as its password, or "x-api-key: <key>".`,
  },
  ROLE_MISSING: {
    status: 403,
    retry: false,
    level: 'info',
    message: (p: { caller: string; needs: string; on: string; has: string }) =>
      `"${p.caller}" may not do this: it needs the role ${p.needs} on ${p.on} and has ${p.has}. Ask an admin for a key with that role.`,
  },
  PREDICT_MISSING: {
    status: 403,
    retry: false,
    level: 'info',
    message: (p: { caller: string; on: string; may: string }) =>
      `"${p.caller}" may not predict with ${p.on}: ${p.may === '' ? 'it may not predict at all' : `it may predict with ${p.may}`}. Ask an admin for a key with "--predict".`,
  },
  KEY_INVALID: {
    status: 401,
    retry: false,
    level: 'info',
    message: () =>
      'The key is none of this server. Check that it is whole; an admin makes new ones with "headrace keys create".',
  },
  KEY_EXPIRED: {
    status: 401,
    retry: false,
    level: 'info',
    message: (p: { name: string; expired: string }) =>
      `The key "${p.name}" expired at ${p.expired}. An admin makes a new one with "headrace keys create".`,
  },
  KEY_REVOKED: {
    status: 401,
    retry: false,
    level: 'info',
    message: (p: { name: string }) =>
      `The key "${p.name}" was revoked. An admin makes a new one with "headrace keys create".`,
  },
  TOKEN_INVALID: {
    status: 401,
    retry: false,
    level: 'info',
    message: (p: { problem: string }) => `The token is not accepted: ${p.problem}. Get a new one from its issuer.`,
  },
  ISSUER_DOWN: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { url: string; problem: string; retryAfterMs: number }) =>
      `The token cannot be verified, because the public keys of its issuer cannot be fetched from ${p.url}: ${p.problem}. Send the request again in ${p.retryAfterMs} ms.`,
  },
  KEY_SET_UNREADABLE: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { from: string; problem: string }) =>
      `The public keys in access.jwt's jwksFile "${p.from}" cannot be read: ${p.problem}. It has to be a JSON Web Key Set.`,
  },
  SECRET_INVALID: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { from: string; bytes: number }) =>
      `The secret for keys in ${p.from} has ${p.bytes} bytes, and 32 are the least. Make one with "openssl rand -hex 32".`,
  },
  SECRET_DIFFERS: {
    status: 503,
    retry: false,
    level: 'error',
    message: (p: { name: string }) =>
      `The key "${p.name}" was made under another secret than this node has. Give all nodes of one metadata store the same HEADRACE_KEY_SECRET.`,
  },
  FIRST_KEY: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { role: string }) =>
      `The first key has to be an admin's for the whole project, and this one has the role ${p.role}, is restricted or belongs to a tenant: from then on every request needs a key, and nobody could make another. Run "headrace keys create --name admin --role admin" first.`,
  },
  FIRST_KEY_REMOTE: {
    status: 403,
    retry: false,
    level: 'warn',
    message: (p: { address: string }) =>
      `The first key is made on the machine of the server, and this request came from ${p.address}. Run "headrace keys create" there.`,
  },
  LAST_ADMIN: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { name: string }) =>
      `"${p.name}" is the last key that may make keys. Make another with "headrace keys create --role admin", then revoke this one.`,
  },
  KEY_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { key: string }) => `No key has the name or id "${p.key}". Run "headrace keys list" to see them.`,
  },
  NAME_TAKEN: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { name: string; id: string }) =>
      `The key ${p.id} is named "${p.name}" and in use; decisions name keys, so a name stands for one. Choose another name, or run "headrace keys rotate".`,
  },
  ALREADY_REVOKED: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { name: string; id: string }) => `The key "${p.name}" (${p.id}) was revoked or has expired already.`,
  },
  REQUEST_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { field: string; problem: string }) => `A key cannot be made so: ${p.field} ${p.problem}.`,
  },
  CHANGE_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { kind: string; problem: string }) => `This is no decision of the kind ${p.kind}: ${p.problem}.`,
  },
  RATE_LIMITED: {
    status: 429,
    retry: true,
    level: 'info',
    message: (p: { name: string; limit: number; retryAfterMs: number }) =>
      `"${p.name}" may send ${p.limit} requests per second and sent more. Send the request again in ${p.retryAfterMs} ms.`,
  },
  QUOTA_EXCEEDED: {
    status: 429,
    retry: true,
    level: 'info',
    message: (p: { name: string; limit: number; rows: number; retryAfterMs: number }) =>
      `"${p.name}" may predict ${p.limit} rows a day, and what is left of today's is less than the ${p.rows} of this prediction. The next day begins in ${Math.ceil(p.retryAfterMs / 60_000)} minutes; an admin can give it a key with more.`,
  },
  OTHER_TENANT: {
    status: 403,
    retry: false,
    level: 'info',
    message: (p: { caller: string; tenant: string; other: string }) =>
      `"${p.caller}" belongs to the tenant "${p.tenant}" and makes keys for that alone, not for "${p.other}". Ask an admin without a tenant.`,
  },
  TENANT_BOUND: {
    status: 403,
    retry: false,
    level: 'info',
    message: (p: { caller: string; tenant: string; what: string }) =>
      `"${p.caller}" belongs to the tenant "${p.tenant}", and ${p.what} shows what all tenants do. Use a key without a tenant.`,
  },
})
