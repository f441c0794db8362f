// Calls to a test server: JSON through fetch, and bytes through a bare socket for what fetch would not send.
import { connect, type Socket } from 'node:net'

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Undefined when the body is no JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into replies of every shape
  readonly json: any
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/** Objects are sent as JSON; text and bytes as they are. */
export async function call(url: string, method: string, body?: unknown, options: CallOptions = {}): Promise<Reply> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: {
      ...(body === undefined || (isRaw && !(typeof body === 'string')) ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    ...(body === undefined ? {} : { body: isRaw ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: parse(text) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export interface RawReply {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly bytes: Buffer
  // biome-ignore lint/suspicious/noExplicitAny: tests look into replies of every shape
  readonly json: any
}

/** A connection that sends exactly what it is told. */
export class RawConnection {
  readonly #socket: Socket
  #received = Buffer.alloc(0)
  #isClosed = false
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    const end = () => {
      this.#isClosed = true
      this.#wake()
    }
    socket.on('close', end)
    socket.on('end', end)
    socket.on('error', end)
  }

  static open(port: number): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new RawConnection(socket)))
      socket.once('error', reject)
    })
  }

  /** Resolves when the system took the bytes, or would not. */
  write(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.writable) this.#socket.write(data, () => resolve())
      else resolve()
    })
  }

  /** The next reply; undefined when the server closed the connection instead. */
  async read(): Promise<RawReply | undefined> {
    for (;;) {
      const reply = this.#take()
      if (reply) return reply
      if (this.#isClosed) return undefined
      await this.#change()
    }
  }

  async closed(): Promise<void> {
    while (!this.#isClosed) await this.#change()
  }

  close(): void {
    this.#socket.destroy()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #take(): RawReply | undefined {
    const end = this.#received.indexOf('\r\n\r\n')
    if (end === -1) return undefined
    const [statusLine, ...lines] = this.#received.subarray(0, end).toString('latin1').split('\r\n')
    const headers = Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    const status = Number(statusLine!.split(' ')[1])
    // An interim reply (100 Continue) has no body.
    const length = status < 200 ? 0 : Number(headers['content-length'] ?? Number.NaN)
    const start = end + 4
    if (Number.isNaN(length) && !this.#isClosed) return undefined
    const stop = Number.isNaN(length) ? this.#received.length : start + length
    if (this.#received.length < stop) return undefined
    const bytes = this.#received.subarray(start, stop)
    const body = bytes.toString('utf8')
    this.#received = this.#received.subarray(stop)
    return { status, headers, body, bytes, json: parse(body) }
  }
}

/** A whole request as text: `Host` and, for a body, its length are added. */
export function rawRequest(
  method: string,
  path: string,
  body = '',
  headers: Readonly<Record<string, string>> = {},
  version = '1.1',
): string {
  const all: Record<string, string> = {
    Host: 'localhost',
    ...(body === '' ? {} : { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(body)) }),
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/${version}\r\n${lines.join('')}\r\n${body}`
}
