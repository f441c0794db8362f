// The HTTP server, and beside it the one for gRPC: our handler for what predicts and for probes, Fastify for everything else.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, type Socket, Server as TcpServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { checkBind, createLoopbackGuard, isLoopback } from '../access/index.js'
import { type App, grpcPortOf } from '../app/index.js'
import { type Clock, toHeadraceError } from '../core/index.js'
import type { createApi } from './api/index.js'
import type { ServerContext } from './context.js'
import { HttpErrors } from './errors.js'
import { Intake } from './intake.js'
import { createParsePool } from './parse-pool.js'
import { Clients } from './predict/client.js'
import { createPredictHandler } from './predict/handler.js'
import { NodeExchange } from './predict/node-exchange.js'
import { answerProbe } from './probes.js'
import { errorBody, sendError } from './reply.js'
import { predictTarget } from './target.js'
import { attachWire, type Wire } from './wire/wire.js'

export interface RunningServer {
  readonly app: App
  /** `http://127.0.0.1:8080` */
  readonly url: string
  /** `127.0.0.1:8081`; undefined when gRPC is switched off. */
  readonly grpcAddress: string | undefined
  /**
   * Imports the routes beside prediction, a third of a second's work that no model has to wait for: call it once the models are
   * loaded. The first request for such a route does it otherwise, and waits.
   */
  loadApi(): Promise<void>
  /** Stops accepting, lets requests in flight finish, then closes the app. Calling it again waits for the same end. */
  close(): Promise<void>
}

/**
 * Listens, then loads the models; `/readyz` is 503 until they are warm. Resolves when it listens; `app.start()` is the caller's.
 * Throws ACCESS_INSECURE_BIND or HTTP_PORT_IN_USE.
 */
export async function startServer(app: App): Promise<RunningServer> {
  const { server: settings } = app.project.config
  checkBind(settings.host, { insecure: settings.insecure || !app.access.isOpen })
  const parsePool = createParsePool({ platform: app.platform })
  const closing = new AbortController()
  const { bodyLimitBytes } = settings
  const intake = new Intake({
    platform: app.platform,
    maxBytes: settings.maxBufferedBytes,
    stallMs: settings.requestTimeoutMs,
  })
  const context: ServerContext = { app, parsePool, intake, bodyLimitBytes, closing: closing.signal }
  let api: Awaited<ReturnType<typeof createApi>> | undefined
  let loadingApi: Promise<NonNullable<typeof api>> | undefined
  const loadApi = () => {
    loadingApi ??= import('./api/index.js').then(async (module) => {
      api = await module.createApi(context)
      return api
    })
    return loadingApi
  }
  const predict = createPredictHandler(context)
  const clients = new Clients(app.platform.clock, () => app.pool.dropCancelled())
  const loopbackGuard = isLoopback(settings.host) ? createLoopbackGuard() : undefined
  // With keys a foreign web page has nothing to send: it knows none.
  const guard =
    loopbackGuard &&
    ((host: string | undefined, origin: string | undefined) => {
      if (app.access.isOpen) loopbackGuard(host, origin)
    })

  /** The latest response of each open connection. */
  const responses = new Map<Socket, ServerResponse>()

  function handle(request: IncomingMessage, response: ServerResponse): void {
    try {
      guard?.(request.headers.host, request.headers.origin)
    } catch (error) {
      sendError(response, toHeadraceError(error))
      return
    }
    responses.set(request.socket, response)
    if (closing.signal.aborted) response.setHeader('Connection', 'close')
    const url = originForm(request)
    const target = predictTarget(url)
    if (target !== undefined && request.method === 'POST') {
      if (target === 'bad') sendError(response, HttpErrors.BAD_PATH({ path: url.slice(0, 200) }))
      else void predict(new NodeExchange(request, response, bodyLimitBytes, intake, clients), target)
    } else if (!answerProbe(context, request, response)) {
      if (isConsole(url)) void import('./console/answer.js').then((page) => page.answerConsole(request, response))
      else if (api) api.routing(request, response)
      else void loadApi().then((loaded) => loaded.routing(request, response))
    }
  }

  const server = createServer(
    {
      headersTimeout: settings.headersTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      connectionsCheckingInterval: 1000,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      // Else the first of two Authorization headers counts here, and the other perhaps for what is in front.
      joinDuplicateHeaders: true,
      noDelay: true,
    },
    handle,
  )
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseMalformed(error.code, socket))
  // Who asks first is told before sending a body that is too large.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (!(Number(request.headers['content-length']) > settings.bodyLimitBytes)) response.writeContinue()
    handle(request, response)
  })
  server.on('connection', (socket: Socket) => socket.once('close', () => responses.delete(socket)))
  const refusedConnections = app.platform.metrics
    .counter({
      name: 'headrace_connections_refused_total',
      help: 'Connections closed at once: server.maxConnections were open.',
    })
    .with()
  server.maxConnections = settings.maxConnections
  server.on('drop', () => refusedConnections.inc())
  const wire = attachWire(server, {
    clock: app.platform.clock,
    intake,
    clients,
    predict,
    limits: { ...settings, keepAliveTimeoutMs: KEEP_ALIVE_TIMEOUT_MS },
    guard,
    refuseMalformed,
  })
  await listen(server, settings.host, settings.port)
  const { port } = server.address() as AddressInfo
  const grpcPort = grpcPortOf(settings)
  const grpc =
    grpcPort === undefined
      ? undefined
      : await startGrpc(context, { port: grpcPort, clients, onDrop: () => refusedConnections.inc() }).catch(giveUp)
  let closed: Promise<void> | undefined

  /** What listens already does not outlive a port that is taken. */
  function giveUp(error: unknown): never {
    server.close()
    throw error
  }

  async function close(): Promise<void> {
    closing.abort()
    wire.isClosing = true
    // Who hears that the connection ends does not send its next request into the void.
    for (const response of responses.values()) if (!response.headersSent) response.setHeader('Connection', 'close')
    const idle = Promise.all([closeWhenIdle(server, wire), grpc?.drain()])
    await withinMs(app.platform.clock, settings.drainMs, idle)
    server.closeAllConnections()
    wire.closeAll()
    grpc?.closeAll()
    await app.close()
    if (loadingApi) await (await loadingApi).close()
    await parsePool.close()
  }

  const url = `http://${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${port}`
  app.report('url', () => url)
  return {
    app,
    async loadApi() {
      await Promise.all([loadApi(), grpc?.loadMethods()])
    },
    url,
    grpcAddress: grpc?.address,
    close() {
      closed ??= close()
      return closed
    },
  }
}

/** Imported by those that serve it. */
async function startGrpc(...options: Parameters<typeof import('./grpc/grpc-server.js').startGrpcServer>) {
  const { startGrpcServer } = await import('./grpc/grpc-server.js')
  return startGrpcServer(...options)
}

/** Proxies may name the whole URL in the request line (RFC 9112, section 3.2.2); from here on everyone sees its path. */
function originForm(request: IncomingMessage): string {
  const { url = '/' } = request
  if (url.charCodeAt(0) === SLASH) return url
  const path = /^https?:\/\/[^/]*(\/.*)$/i.exec(url)?.[1] ?? '/'
  request.url = path
  return path
}

/** `/console`, and all below it. */
function isConsole(url: string): boolean {
  return url.startsWith('/console') && (url.length === 8 || url[8] === '/' || url[8] === '?')
}

const SLASH = 47
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const IDLE_CHECK_MS = 20

/**
 * Who keeps a connection open may be sending the next request on it at this moment: it is still answered, and told that the
 * connection ends. Connections that stay quiet for so long are closed.
 */
const LINGER_MS = 300

/** Stops accepting and resolves when every connection has finished what it was doing. */
function closeWhenIdle(server: Server, wire: Wire): Promise<void> {
  return new Promise((resolve) => {
    const startedMs = performance.now()
    const timer = setInterval(() => {
      if (performance.now() - startedMs < LINGER_MS) return
      server.closeIdleConnections()
      wire.closeIdle()
    }, IDLE_CHECK_MS)
    // Not the close of node:http, which cuts connections that are idle now.
    TcpServer.prototype.close.call(server, () => {
      clearInterval(timer)
      server.close()
      resolve()
    })
  })
}

function withinMs(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(limitMs, resolve)
    void work.then(() => {
      timer.cancel()
      resolve()
    })
  })
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? HttpErrors.PORT_IN_USE({ host, port }) : error),
    )
    server.listen(port, host, () => resolve())
  })
}

/** What Node's parser refuses never becomes a request; it still gets an error in our shape. */
function refuseMalformed(code: string | undefined, socket: Duplex): void {
  if (!socket.writable || code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const failure =
    code === 'HPE_HEADER_OVERFLOW'
      ? HttpErrors.HEADERS_TOO_LARGE()
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? HttpErrors.TIMEOUT()
        : HttpErrors.MALFORMED({ reason: code ?? 'unreadable' })
  const body = errorBody(failure)
  socket.end(
    `HTTP/1.1 ${failure.status} ${failure.status === 408 ? 'Request Timeout' : 'Bad Request'}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
