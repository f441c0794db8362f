// The Node side of the load: raw sockets and a search for the end of each answer, because an HTTP client costs more
// CPU than the server under test and would measure itself. One request at a time on each connection, no pipelining.
import { connect, type Socket } from 'node:net'
import { createHistogram, performance } from 'node:perf_hooks'

export interface LoadOptions {
  /** `http://127.0.0.1:8080/v2/models/fraud/infer` */
  readonly url: string
  readonly connections: number
  /** Sent with POST; without it the load is GET. */
  readonly body?: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  /** How long to keep going; give this or `count`. */
  readonly durationMs?: number
  /** How many requests to send in all; only the Node client can. */
  readonly count?: number
  /** Default: wrk where it is installed and `count` is not given, the Node client otherwise. */
  readonly engine?: 'wrk' | 'node'
  /** The only core that wrk may use, so that the scheduler gives every server the same machine; default any. */
  readonly core?: number
}

export interface LoadResult {
  readonly engine: 'wrk' | 'node'
  readonly requests: number
  readonly elapsedMs: number
  /** Requests answered per second. */
  readonly rate: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Answers that are not 2xx, and connections that broke. A figure with errors in it is no figure. */
  readonly errors: number
}

const HEAD_END = Buffer.from('\r\n\r\n')
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

/** Runs the load in this process; `load()` runs it in another one. */
export function runClient(options: LoadOptions): Promise<LoadResult> {
  const url = new URL(options.url)
  const request = requestBytes(options, url)
  const latencies = createHistogram()
  const startMs = performance.now()
  const endMs = options.durationMs === undefined ? Number.POSITIVE_INFINITY : startMs + options.durationMs
  let toSend = options.count ?? Number.POSITIVE_INFINITY
  let requests = 0
  let errors = 0

  return new Promise((resolve) => {
    let open = options.connections
    const finish = (): void => {
      open -= 1
      if (open > 0) return
      const elapsedMs = performance.now() - startMs
      resolve({
        engine: 'node',
        requests,
        elapsedMs,
        rate: requests / (elapsedMs / 1000),
        p50Ms: latencies.percentile(50) / 1e6,
        p99Ms: latencies.percentile(99) / 1e6,
        maxMs: latencies.max / 1e6,
        errors,
      })
    }

    const startConnection = (): void => {
      const socket = connect({ host: url.hostname, port: Number(url.port || 80), noDelay: true })
      const answer = new AnswerReader()
      let sentMs = 0
      let ended = false
      const end = (): void => {
        if (ended) return
        ended = true
        socket.destroy()
        finish()
      }
      const send = (): void => {
        if (toSend <= 0 || performance.now() >= endMs) {
          end()
          return
        }
        toSend -= 1
        sentMs = performance.now()
        socket.write(request)
      }
      socket.once('connect', send)
      socket.on('data', (chunk: Buffer) => {
        if (!answer.add(chunk)) return
        latencies.record(Math.max(1, Math.round((performance.now() - sentMs) * 1e6)))
        requests += 1
        if (!answer.isSuccess) errors += 1
        answer.reset()
        send()
      })
      // A broken connection is one error and is not opened again: a load with errors is discarded anyway.
      const broken = (): void => {
        if (!ended) errors += 1
        end()
      }
      socket.once('error', broken)
      socket.once('close', broken)
      stopAt(socket, endMs, end)
    }
    for (let i = 0; i < options.connections; i += 1) startConnection()
  })
}

/** A server that stopped answering must not hold the load open: 30 s after its end the connection is given up. */
function stopAt(socket: Socket, endMs: number, end: () => void): void {
  if (endMs === Number.POSITIVE_INFINITY) return
  const timer = setTimeout(end, endMs - performance.now() + 30_000)
  socket.once('close', () => clearTimeout(timer))
}

function requestBytes({ body, headers = {} }: LoadOptions, url: URL): Buffer {
  const payload = Buffer.from(body ?? '')
  const lines = [`${body === undefined ? 'GET' : 'POST'} ${url.pathname}${url.search} HTTP/1.1`, `Host: ${url.host}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (body !== undefined) lines.push(`Content-Length: ${payload.length}`)
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), payload])
}

/** Finds the end of one HTTP/1.1 answer by its Content-Length or its last chunk. Keeps its head only: a reply may be 64 MiB. */
export class AnswerReader {
  isSuccess = false
  private head: Buffer = Buffer.alloc(0)
  private lastBytes: Buffer = Buffer.alloc(0)
  private receivedBytes = 0
  /** Length of the whole answer; 0 while the head is incomplete, -1 when the body is chunked. */
  private total = 0

  /** True when the answer is complete. */
  add(chunk: Buffer): boolean {
    this.receivedBytes += chunk.length
    if (this.total === 0) {
      this.head = this.head.length === 0 ? chunk : Buffer.concat([this.head, chunk])
      if (!this.readHead()) return false
    }
    if (this.total > 0) return this.receivedBytes >= this.total
    this.lastBytes = Buffer.concat([this.lastBytes, chunk.subarray(-LAST_CHUNK.length)]).subarray(-LAST_CHUNK.length)
    return this.lastBytes.equals(LAST_CHUNK)
  }

  reset(): void {
    this.head = Buffer.alloc(0)
    this.lastBytes = Buffer.alloc(0)
    this.receivedBytes = 0
    this.total = 0
  }

  private readHead(): boolean {
    const end = this.head.indexOf(HEAD_END)
    if (end < 0) return false
    const head = this.head.toString('latin1', 0, end)
    this.isSuccess = head.startsWith('2', 9)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    const chunked = length === undefined && /\r\ntransfer-encoding: *chunked/i.test(head)
    this.total = chunked ? -1 : end + HEAD_END.length + Number(length ?? 0)
    return true
  }
}
