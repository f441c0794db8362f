// Cases over HTTP: requests with binary tensors as bytes on a socket, and what a client does with the socket afterwards.
import { connect, type Socket } from 'node:net'
import { below, bomb, chance, compress, HOSTILE_INTEGERS, mutateBytes, pick, type Random } from './random.js'
import { breakRequest, type InputDraft, type RequestDraft, rightRequest } from './requests.js'

export interface HttpCase {
  readonly kind: string
  readonly bytes: Buffer
  /** How many answers must come; undefined when the server cannot know where the request ends. */
  readonly answers: number | undefined
  /** What the client does when no more is to come, or at once where it waits for nothing. */
  readonly end: 'close' | 'half-close' | 'reset'
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: string
  readonly body: Buffer
}

const MEBI = 1024 * 1024

export function httpCase(random: Random): HttpCase {
  const kind = random.next()
  if (kind < 0.03) return { kind: 'bomb', ...whole(bombRequest(random)) }
  if (kind < 0.08) return { kind: 'raw', ...whole(rawRequest(random)) }
  if (kind < 0.16) return cutShort(random)
  if (kind < 0.22) return pipelined(random)
  if (kind < 0.3) return chunked(random)
  const request = rightRequest(random)
  const times = below(random, 3)
  for (let i = 0; i < times; i++) breakRequest(random, request)
  return { kind: 'request', ...whole(writeRequest(random, request, true)) }
}

/** A complete request over a connection that is kept. */
function whole(bytes: Buffer): Omit<HttpCase, 'kind'> {
  return { bytes, answers: 1, end: 'close' }
}

interface Head {
  readonly path: string
  readonly headers: Record<string, string>
}

function message({ path, headers }: Head, body: Buffer): Buffer {
  const lines = Object.entries({ Host: 'localhost', ...headers, 'Content-Length': String(body.length) })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${head}\r\n`, 'latin1'), body])
}

function pathOf({ model }: RequestDraft): string {
  return `/v2/models/${encodeURIComponent(model)}/infer`
}

/** With JSON, binary and mixed inputs; with `hostile` also wrong sizes, members, headers and bytes. */
function writeRequest(random: Random, request: RequestDraft, hostile: boolean): Buffer {
  const head: Head = { path: pathOf(request), headers: {} }
  let body = bodyOf(random, request, head.headers, hostile)
  if (hostile && chance(random, 0.2)) body = mutateBytes(random, body)
  if (hostile && chance(random, 0.15)) {
    const encoding = pick(random, ['gzip', 'deflate'] as const)
    head.headers['Content-Encoding'] = chance(random, 0.1)
      ? pick(random, ['br', 'identity', 'gzip, gzip', 'x', ''])
      : encoding
    body = compress(random, encoding, body)
  }
  if (chance(random, 0.2)) head.headers['Accept-Encoding'] = pick(random, ['gzip', 'deflate', 'gzip;q=0', '*', 'br, x'])
  if (hostile && chance(random, 0.1))
    head.headers['Content-Type'] = pick(random, ['text/plain', 'application/octet-stream', 'application/json', 'x', ''])
  return message(head, body)
}

function bodyOf(random: Random, request: RequestDraft, headers: Record<string, string>, hostile: boolean): Buffer {
  const parts: Buffer[] = []
  const inputs = request.inputs.map((input) => writeInput(random, input, parts, hostile))
  const outputs = request.outputs.map((name) => {
    const parameters: Record<string, unknown> = {}
    if (chance(random, 0.5)) parameters['binary_data'] = hostile ? pick(random, [true, false, 1, 'true', null]) : true
    if (hostile && chance(random, 0.2))
      parameters['classification'] = pick(random, [0, -1, 1, 3, 2 ** 53, 1.5, 'x', null])
    return { name, parameters }
  })
  const parameters: Record<string, unknown> = chance(random, 0.5) ? { binary_data_output: true } : {}
  if (hostile && chance(random, 0.1))
    parameters[pick(random, ['timeout', 'priority', 'sequence_id', 'headers', 'x'])] = pick(random, [
      -1,
      1.5,
      'x',
      {},
      [],
      null,
      2 ** 60,
    ])
  const json = JSON.stringify(
    { inputs, ...(outputs.length > 0 ? { outputs } : {}), parameters },
    bigintAsNumber,
  ).replaceAll(/"#(-?\d+)"/g, '$1')
  const head = Buffer.from(json)
  if (parts.length > 0 || chance(random, 0.1))
    headers['Inference-Header-Content-Length'] = hostile ? headerLength(random, head.length) : String(head.length)
  return Buffer.concat([head, ...parts])
}

function bigintAsNumber(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `#${value}` : value
}

function headerLength(random: Random, length: number): string {
  if (chance(random, 0.85)) return String(length)
  return pick(random, [
    String(length + 1),
    String(length - 1),
    '0',
    '-1',
    '',
    '1e3',
    '0x10',
    `${length}.0`,
    `+${length}`,
    `${length}, ${length}`,
    '99999999999999999999',
    'many',
    String(2 ** 31),
  ])
}

function writeInput(random: Random, input: InputDraft, parts: Buffer[], hostile: boolean): object {
  const { name, datatype, shape } = input
  const common = { name, datatype, shape }
  const isText = typeof input.elements[0] === 'string'
  if (chance(random, 0.3) && !(datatype === 'FP16' || datatype === 'BF16')) return { ...common, data: input.elements }
  parts.push(input.raw)
  const size = (value: unknown) => ({ ...common, parameters: { binary_data_size: value } })
  if (!hostile || chance(random, 0.8)) return size(input.raw.length)
  switch (random.uint32() % 6) {
    case 0:
      return size(pick(random, HOSTILE_INTEGERS))
    case 1:
      return size(input.raw.length + pick(random, [-1, 1, -4, 4]))
    case 2:
      return size(pick(random, ['16', null, true, 1.5, [], {}]))
    case 3:
      return { ...size(input.raw.length), data: input.elements }
    case 4:
      return common
    default:
      return { ...common, parameters: { shared_memory_region: 'region', shared_memory_byte_size: isText ? 1 : 16 } }
  }
}

/** Header length 0: the body is the one tensor. */
function rawRequest(random: Random): Buffer {
  const request = rightRequest(random)
  const [input] = request.inputs
  if (chance(random, 0.5)) breakRequest(random, request)
  return message({ path: pathOf(request), headers: { 'Inference-Header-Content-Length': '0' } }, input!.raw)
}

function bombRequest(random: Random): Buffer {
  const encoding = pick(random, ['gzip', 'deflate'] as const)
  const headers: Record<string, string> = { 'Content-Encoding': encoding }
  if (chance(random, 0.5)) headers['Inference-Header-Content-Length'] = pick(random, ['0', '100', String(64 * MEBI)])
  return message({ path: '/v2/models/numbers/infer', headers }, bomb(encoding))
}

/** Promises more than it sends, or stops in the middle. */
function cutShort(random: Random): HttpCase {
  const bytes = writeRequest(random, rightRequest(random), false)
  const end = pick(random, ['close', 'half-close', 'reset'] as const)
  return { kind: 'cut short', bytes: bytes.subarray(0, 1 + below(random, bytes.length - 1)), answers: undefined, end }
}

/** Right, wrong and right again in one write: each has its answer, in order. */
function pipelined(random: Random): HttpCase {
  const wrong = rightRequest(random)
  breakRequest(random, wrong)
  const bytes = [
    writeRequest(random, rightRequest(random), false),
    message({ path: pathOf(wrong), headers: {} }, Buffer.from('{"inputs": [')),
    writeRequest(random, rightRequest(random), false),
  ]
  return { kind: 'pipelined', bytes: Buffer.concat(bytes), answers: 3, end: 'close' }
}

function chunked(random: Random): HttpCase {
  const request = rightRequest(random)
  const headers: Record<string, string> = {}
  const body = bodyOf(random, request, headers, false)
  const chunks: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    const size = Math.min(body.length - at, 1 + below(random, 200))
    chunks.push(Buffer.from(`${chunkSize(random, size)}\r\n`), body.subarray(at, at + size), Buffer.from('\r\n'))
    at += size
  }
  chunks.push(Buffer.from(pick(random, ['0\r\n\r\n', '0\r\nX: y\r\n\r\n', '00000\r\n\r\n'])))
  const isBroken = chance(random, 0.5)
  const length = isBroken && chance(random, 0.5) ? `Content-Length: ${body.length}\r\n` : ''
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `POST ${pathOf(request)} HTTP/1.1\r\nHost: localhost\r\n${lines.join('')}${length}Transfer-Encoding: chunked\r\n\r\n`
  const bytes = Buffer.concat([Buffer.from(head), ...chunks])
  if (!isBroken) return { kind: 'chunked', bytes, answers: 1, end: 'close' }
  return { kind: 'chunked, broken', bytes: mutateBytes(random, bytes), answers: undefined, end: 'half-close' }
}

function chunkSize(random: Random, size: number): string {
  return pick(random, [
    size.toString(16),
    size.toString(16).toUpperCase(),
    `000${size.toString(16)}`,
    `${size.toString(16)};a=b`,
  ])
}

/** A connection that cases follow each other on until one ends it. */
export class HttpConnection {
  #socket: Socket | undefined
  constructor(
    private readonly port: number,
    /** A complete request must be answered, and a socket that the client ended must close, within this time. */
    private readonly patienceMs: number,
  ) {}

  /** Rejects when the server refuses connections, or keeps the client waiting. */
  send({ bytes, answers, end }: HttpCase): Promise<readonly HttpAnswer[]> {
    this.#socket ??= connect({ host: '127.0.0.1', port: this.port, noDelay: true, allowHalfOpen: true })
    const socket = this.#socket
    return new Promise((resolve, reject) => {
      const seen: HttpAnswer[] = []
      let received: Buffer = Buffer.alloc(0)
      let patience: NodeJS.Timeout
      let ending: NodeJS.Timeout | undefined
      const finish = (failure?: Error, keep = false) => {
        clearTimeout(patience)
        clearTimeout(ending)
        socket.removeAllListeners()
        socket.on('error', () => {})
        if (!keep) {
          socket.destroy()
          this.#socket = undefined
        }
        if (failure) reject(failure)
        else resolve(seen)
      }
      patience = setTimeout(
        () => finish(new Error(`no answer and no end of the connection after ${this.patienceMs} ms`)),
        this.patienceMs,
      )
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk])
        for (;;) {
          const answer = readAnswer(received)
          if (answer === undefined) return
          received = received.subarray(answer.sizeBytes)
          if (answer.status !== 100) seen.push(answer)
          const isLast = /\r\nconnection: *close/i.test(answer.headers)
          if (isLast || seen.length === answers) return finish(undefined, !isLast && received.length === 0)
        }
      })
      socket.once('end', () => finish())
      socket.once('close', () => finish())
      socket.once('error', (error: NodeJS.ErrnoException) =>
        finish(error.code === 'ECONNREFUSED' ? new Error('the server is gone') : undefined),
      )
      socket.write(bytes)
      if (answers !== undefined) return
      // The server may answer first; a client that sent half a request then goes, in its own way.
      ending = setTimeout(() => {
        if (end === 'half-close') {
          socket.end()
          return
        }
        if (end === 'reset') socket.resetAndDestroy()
        finish()
      }, 30)
    })
  }

  close(): void {
    this.#socket?.destroy()
  }
}

function readAnswer(received: Buffer): (HttpAnswer & { sizeBytes: number }) | undefined {
  const head = received.indexOf('\r\n\r\n')
  if (head < 0) return undefined
  const headers = received.toString('latin1', 0, head)
  const length = /\r\ncontent-length: *(\d+)/i.exec(headers)
  const sizeBytes = head + 4 + Number(length?.[1] ?? 0)
  if (received.length < sizeBytes) return undefined
  return { status: Number(headers.slice(9, 12)), headers, body: received.subarray(head + 4, sizeBytes), sizeBytes }
}
