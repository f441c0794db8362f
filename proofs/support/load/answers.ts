// Cuts the bytes of one connection into HTTP/1.1 answers. Raw, because an HTTP client would cost more than the server it loads.
export interface Answer {
  readonly status: number
  /** The head as text, for the headers. */
  readonly head: string
  readonly body: Buffer
}

const HEAD_END = Buffer.from('\r\n\r\n')

export class AnswerStream {
  #rest: Buffer = Buffer.alloc(0)

  constructor(private readonly onAnswer: (answer: Answer) => void) {}

  /** Every answer has a Content-Length here; what has none counts as empty. */
  push(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    for (;;) {
      const end = bytes.indexOf(HEAD_END, at)
      if (end < 0) break
      const head = bytes.toString('latin1', at, end)
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)
      const start = end + HEAD_END.length
      const stop = start + Number(length?.[1] ?? 0)
      if (stop > bytes.length) break
      at = stop
      this.onAnswer({ status: Number(head.slice(9, 12)), head, body: bytes.subarray(start, stop) })
    }
    this.#rest = at === 0 ? bytes : Buffer.from(bytes.subarray(at))
  }
}

/** A request as bytes, with its length and the headers that every request of a proof has. */
export function requestBytes(path: string, body: string, headers: Readonly<Record<string, string>> = {}): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, 'Host: localhost', 'Content-Type: application/json']
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  return Buffer.from(`${lines.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}
