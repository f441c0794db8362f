// Liveness, readiness and metrics, answered without a framework: they must stay quick when everything else is slow.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerContext } from './context.js'
import { encodeLive, encodeReady } from './oip/index.js'
import { sendJson } from './reply.js'

/** Answers GET and HEAD of the probe paths; false when the request is for something else. */
export function answerProbe(
  { app, closing }: ServerContext,
  { method, url = '/' }: IncomingMessage,
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
      void app.exposeMetrics().then((text) => {
        response.writeHead(200, { 'Content-Type': app.platform.metrics.contentType })
        response.end(text)
      })
      return true
    default:
      return false
  }
}
