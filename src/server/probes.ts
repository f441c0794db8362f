// Liveness, readiness and metrics, answered without a framework: they must stay quick when everything else is slow.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Credentials, expectNoTenant } from '../access/index.js'
import type { App } from '../app/index.js'
import { toHeadraceError } from '../core/index.js'
import type { ServerContext } from './context.js'
import { encodeLive, encodeReady } from './oip/index.js'
import { sendError, sendJson } from './reply.js'

/** Answers GET and HEAD of the probe paths; false when the request is for something else. */
export function answerProbe(
  { app, closing }: ServerContext,
  { method, url = '/', headers }: IncomingMessage,
  response: ServerResponse,
): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  const end = url.indexOf('?')
  switch (end < 0 ? url : url.slice(0, end)) {
    case '/livez':
    case '/v2/health/live':
      sendJson(response, 200, encodeLive(true))
      return true
    case '/readyz':
    case '/v2/health/ready': {
      const isReady = app.isReady() && !closing.aborted
      sendJson(response, isReady ? 200 : 503, encodeReady(isReady))
      return true
    }
    case '/metrics':
      void answerMetrics(app, headers, response)
      return true
    default:
      return false
  }
}

/** They say who predicts how much: for callers who may see the whole project, unless the configuration opens them. */
async function answerMetrics(app: App, credentials: Credentials, response: ServerResponse): Promise<void> {
  try {
    if (!app.project.config.access.openMetrics) {
      const caller = await app.access.authenticate(credentials)
      app.access.check(caller, 'viewer')
      expectNoTenant(caller, '/metrics')
    }
    const text = await app.exposeMetrics()
    response.writeHead(200, { 'Content-Type': app.platform.metrics.contentType })
    response.end(text)
  } catch (error) {
    const failure = toHeadraceError(error)
    app.path.countError(failure.code)
    sendError(response, failure)
  }
}
