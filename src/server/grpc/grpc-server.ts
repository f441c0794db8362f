// Listens for gRPC: HTTP/2 without TLS, one call per stream. A browser cannot speak it (it sends no HTTP/2 without TLS, and
// reads no trailers), so the Host and Origin checks of the HTTP face have nothing to check here.
import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { checkBind } from '../../access/index.js'
import type { ServerContext } from '../context.js'
import type { Clients } from '../predict/client.js'
import { Call, type GrpcMethod } from './call.js'
import { Calls } from './calls.js'
import { GrpcErrors } from './errors.js'
import { Methods } from './methods.js'
import { errorTrailers } from './status.js'

export interface GrpcServerOptions {
  readonly port: number
  readonly clients: Clients
  /** A connection was closed at once, because there are too many. */
  readonly onDrop: () => void
}

export interface RunningGrpc {
  /** `127.0.0.1:8081`, as gRPC clients take it. */
  readonly address: string
  /** Imports the methods beside inference; the first call of one does it otherwise, and waits. */
  loadMethods(): Promise<void>
  /** Takes no further calls and resolves when those that are open have ended; `closeAll` ends them. */
  drain(): Promise<void>
  closeAll(): void
}

/** Of one connection: more calls wait in the client. */
const STREAMS_PER_CONNECTION = 1024
/** What a client may send before the server has looked at it, per call and per connection. */
const STREAM_WINDOW_BYTES = 1024 * 1024
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024
const MAX_HEADER_BYTES = 16 * 1024
/** Megabytes. Node cuts off calls that are well when a connection reaches it; what we hold is counted by the intake instead. */
const SESSION_MEMORY_MB = 4096
/** A connection that does not answer a ping until the next one is due is gone. */
const PING_MS = 60_000
/** Clients open a connection anew without their callers noticing. */
const IDLE_CONNECTION_MS = 10 * 60_000

/** What is known of a connection. */
interface Connection {
  calls: number
  idleSinceMs: number
  isPinging: boolean
}

/** Listens at once. Throws ACCESS_INSECURE_BIND or GRPC_PORT_IN_USE. */
export async function startGrpcServer(
  context: ServerContext,
  { port, clients, onDrop }: GrpcServerOptions,
): Promise<RunningGrpc> {
  const { app, intake, bodyLimitBytes } = context
  const { clock, logger, metrics } = app.platform
  const { server: settings } = app.project.config
  checkBind(settings.host, { insecure: settings.insecure || !app.access.isOpen })
  const calls = new Calls({
    clock,
    logger,
    intake,
    clients,
    path: app.path,
    limitBytes: bodyLimitBytes,
    stallMs: settings.requestTimeoutMs,
    limit: settings.maxGrpcStreams,
  })
  const methods = new Methods(context)
  const connections = new Map<ServerHttp2Session, Connection>()
  const server = createServer({
    maxSessionMemory: SESSION_MEMORY_MB,
    maxHeaderListPairs: 128,
    settings: {
      enablePush: false,
      maxConcurrentStreams: STREAMS_PER_CONNECTION,
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxHeaderListSize: MAX_HEADER_BYTES,
    },
  })
  server.maxConnections = settings.maxConnections
  server.on('drop', onDrop)
  const openCalls = metrics
    .gauge({ name: 'headrace_grpc_calls', help: 'gRPC calls that are open, streams among them.' })
    .with()

  server.on('session', (session) => {
    connections.set(session, { calls: 0, idleSinceMs: clock.monotonicMs(), isPinging: false })
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
    session.on('error', ignore)
    session.on('close', () => connections.delete(session))
  })
  server.on('sessionError', ignore)
  server.on('stream', (stream, headers) => {
    const { session } = stream
    const connection = session && connections.get(session as ServerHttp2Session)
    if (connection === undefined) return
    connection.calls++
    let call: Call | undefined
    stream.on('close', () => {
      if (call !== undefined) calls.forget(call)
      connection.calls--
      connection.idleSinceMs = clock.monotonicMs()
      openCalls.set(calls.count)
    })
    const take = (method: GrpcMethod | undefined) => {
      if (method === undefined) {
        refuse(stream, headers, app.path.countError)
        return
      }
      call = new Call(method, stream, headers, calls)
      calls.enter(call)
      openCalls.set(calls.count)
      method.opened?.(call)
    }
    const found = isGrpc(headers) ? methods.find(headers[':path'] ?? '') : undefined
    if (!(found instanceof Promise)) take(found)
    else {
      stream.on('error', ignore)
      void found.then((method) => !stream.destroyed && take(method))
    }
  })
  await listen(server, settings.host, port)
  const bound = (server.address() as AddressInfo).port
  let pinging = clock.after(PING_MS, ping)
  let drained: Promise<void> | undefined

  function ping(): void {
    const nowMs = clock.monotonicMs()
    for (const [session, connection] of connections) {
      // Destroyed and not yet closed, while its last bytes go out: a ping would throw.
      if (session.destroyed) continue
      if (connection.isPinging) session.destroy()
      else if (connection.calls === 0 && nowMs - connection.idleSinceMs > IDLE_CONNECTION_MS) session.close()
      else
        connection.isPinging = session.ping(() => {
          connection.isPinging = false
        })
    }
    pinging = clock.after(PING_MS, ping)
  }

  return {
    address: `${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${bound}`,
    loadMethods: () => methods.load(),
    drain() {
      drained ??= new Promise<void>((resolve) => {
        server.close(() => resolve())
        // Clients hear GOAWAY, finish what they have begun and open no more.
        for (const session of connections.keys()) session.close()
        calls.drain()
      })
      return drained
    },
    closeAll() {
      pinging.cancel()
      calls.close()
      for (const session of connections.keys()) session.destroy()
    },
  }
}

function isGrpc(headers: IncomingHttpHeaders): boolean {
  const type = headers['content-type']
  return (
    headers[':method'] === 'POST' &&
    (type === 'application/grpc' || /^application\/grpc(\+proto)?(;|$)/.test(type ?? ''))
  )
}

function refuse(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, countError: (code: string) => void): void {
  stream.on('error', ignore)
  if (isGrpc(headers)) {
    const error = GrpcErrors.METHOD_UNKNOWN({ path: (headers[':path'] ?? '').slice(0, 200) })
    countError(error.code)
    const head = { ':status': 200, 'content-type': 'application/grpc', ...errorTrailers(error, undefined, []) }
    stream.respond(head, { endStream: true })
  } else stream.respond({ ':status': 415 }, { endStream: true })
  stream.close(constants.NGHTTP2_NO_ERROR)
}

function listen(server: Http2Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? GrpcErrors.PORT_IN_USE({ host, port }) : error),
    )
    server.listen(port, host, () => resolve())
  })
}

function ignore(): void {}
