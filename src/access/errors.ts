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
})
