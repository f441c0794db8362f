import { defineErrors } from '../core/index.js'

export const AccessErrors = defineErrors('ACCESS', {
  INSECURE_BIND: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { host: string }) =>
      `Refusing to listen on "${p.host}": anyone who reaches it could use the models, because no keys exist yet. Listen on 127.0.0.1, or pass --insecure if something in front of the server authenticates callers.`,
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
})
