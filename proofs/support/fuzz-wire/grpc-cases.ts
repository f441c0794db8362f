// Cases over gRPC: calls with any bytes as their messages, over HTTP/2 that is sound; h2-cases.ts has that which is not.
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { number, packed, sized, strangeField } from './protobuf.js'
import {
  below,
  bomb,
  chance,
  compress,
  HOSTILE_INTEGERS,
  mutateBytes,
  pick,
  type Random,
  randomBytes,
} from './random.js'
import { breakRequest, type InputDraft, type RequestDraft, rightRequest } from './requests.js'

export interface GrpcCase {
  readonly kind: string
  readonly headers: OutgoingHttpHeaders
  /** DATA frames, one write each. */
  readonly writes: readonly Buffer[]
  /** What the client does after the last of them. `leave`: nothing more comes, and it hangs up after a while. */
  readonly end: 'end' | 'reset' | 'leave'
}

export interface GrpcAnswer {
  readonly http: number | undefined
  /** From the trailers; undefined when the stream ended without them. */
  readonly status: number | undefined
  readonly message: string
  readonly code: string | undefined
  /** With which HTTP/2 error the server reset the stream; 0 for none. */
  readonly resetCode: number
  readonly bytes: Buffer
}

const SERVICE = '/inference.GRPCInferenceService/'
const OTHER_METHODS = [
  'ServerLive',
  'ServerReady',
  'ModelReady',
  'ServerMetadata',
  'ModelMetadata',
  'ModelConfig',
  'ModelStatistics',
  'RepositoryIndex',
  'SystemSharedMemoryStatus',
  'SystemSharedMemoryRegister',
  'CudaSharedMemoryStatus',
  'TraceSetting',
  'LogSettings',
]

export function grpcCase(random: Random): GrpcCase {
  const kind = random.next()
  if (kind < 0.02) return bombCall(random)
  if (kind < 0.12) return brokenFraming(random)
  if (kind < 0.2) return brokenHeaders(random)
  if (kind < 0.28) return cutShort(random)
  if (kind < 0.36) return streamCall(random)
  if (kind < 0.44) return otherMethod(random)
  const request = rightRequest(random)
  const times = below(random, 3)
  for (let i = 0; i < times; i++) breakRequest(random, request)
  let bytes = encodeRequest(random, request, true)
  if (chance(random, 0.15)) bytes = Buffer.concat([bytes, strangeField(random)])
  if (chance(random, 0.2)) bytes = mutateBytes(random, bytes)
  if (chance(random, 0.1)) {
    const encoding = pick(random, ['gzip', 'deflate'] as const)
    return {
      kind: 'compressed',
      headers: call('ModelInfer', { 'grpc-encoding': encoding }),
      writes: [framed(compress(random, encoding, bytes), 1)],
      end: 'end',
    }
  }
  return { kind: 'request', headers: call('ModelInfer'), writes: [framed(bytes)], end: 'end' }
}

export function call(method: string, more: OutgoingHttpHeaders = {}): OutgoingHttpHeaders {
  return { ':method': 'POST', ':path': SERVICE + method, 'content-type': 'application/grpc', te: 'trailers', ...more }
}

export function framed(message: Buffer, flag = 0, length = message.length): Buffer {
  const prefix = Buffer.alloc(5)
  prefix[0] = flag
  prefix.writeUInt32BE(length >>> 0, 1)
  return Buffer.concat([prefix, message])
}

const FIELD_OF: Readonly<Record<string, number>> = {
  BOOL: 1,
  INT8: 2,
  INT16: 2,
  INT32: 2,
  INT64: 3,
  UINT8: 4,
  UINT16: 4,
  UINT32: 4,
  UINT64: 5,
  FP32: 6,
  FP64: 7,
  BYTES: 8,
}

/** A ModelInferRequest; with `hostile` also with forms mixed and fields where they do not belong. */
export function encodeRequest(random: Random, request: RequestDraft, hostile: boolean): Buffer {
  const isRaw = chance(random, 0.7)
  const isMixed = hostile && chance(random, 0.08)
  const fields = [sized(1, request.model)]
  if (hostile && chance(random, 0.1))
    fields.push(sized(2, pick(random, ['1', '9', '-1', '1.0', 'x', '99999999999999999999'])))
  if (chance(random, 0.3)) fields.push(sized(3, pick(random, ['id', 'é', hostile ? 'x'.repeat(5000) : 'y'])))
  if (hostile && chance(random, 0.2)) fields.push(parameter(random, 4))
  for (const input of request.inputs) fields.push(sized(5, encodeInput(random, input, isRaw && !isMixed, hostile)))
  for (const name of request.outputs) {
    const classes =
      hostile && chance(random, 0.2)
        ? [sized(2, Buffer.concat([sized(1, 'classification'), sized(2, number(2, pick(random, HOSTILE_INTEGERS)))]))]
        : []
    fields.push(sized(6, Buffer.concat([sized(1, name), ...classes])))
  }
  if (isRaw || isMixed) for (const { raw } of request.inputs) fields.push(sized(7, raw))
  if (hostile && chance(random, 0.05)) fields.push(sized(7, randomBytes(random, below(random, 32))))
  if (hostile && chance(random, 0.05)) fields.pop()
  return Buffer.concat(fields)
}

function encodeInput(
  random: Random,
  { name, datatype, shape, elements }: InputDraft,
  isRaw: boolean,
  hostile: boolean,
): Buffer {
  const fields = [sized(1, name), sized(2, datatype), packed(3, shape)]
  if (hostile && chance(random, 0.05)) fields.push(parameter(random, 4))
  if (isRaw) return Buffer.concat(fields)
  const field = hostile && chance(random, 0.1) ? 1 + below(random, 9) : (FIELD_OF[datatype] ?? 6)
  fields.push(sized(5, encodeContents(field, elements)))
  return Buffer.concat(fields)
}

function encodeContents(field: number, elements: readonly (number | string)[]): Buffer {
  if (field >= 8) return Buffer.concat(elements.map((element) => sized(field, String(element))))
  const numbers = elements.map(Number).map((value) => (Number.isFinite(value) ? value : 0))
  if (field === 6) return sized(6, Buffer.from(Float32Array.from(numbers).buffer))
  if (field === 7) return sized(7, Buffer.from(Float64Array.from(numbers).buffer))
  return packed(
    field,
    numbers.map((value) => BigInt(Math.trunc(value))),
  )
}

function parameter(random: Random, field: number): Buffer {
  const name = pick(random, [
    'timeout',
    'priority',
    'sequence_id',
    'unit',
    'shared_memory_region',
    'shared_memory_byte_size',
    'x',
    '',
    '__proto__',
  ])
  const value = pick(random, [
    number(1, 1n),
    number(2, pick(random, HOSTILE_INTEGERS)),
    sized(3, 'text'),
    number(5, pick(random, HOSTILE_INTEGERS)),
    Buffer.concat([Buffer.from([0x21]), randomBytes(random, 8)]),
    Buffer.alloc(0),
    Buffer.concat([number(1, 1n), sized(3, 'both')]),
  ])
  return sized(field, Buffer.concat([sized(1, name), sized(2, value)]))
}

function right(random: Random): Buffer {
  return encodeRequest(random, rightRequest(random), false)
}

/** 96 MiB that come as 94 KiB. */
function bombCall(random: Random): GrpcCase {
  const encoding = pick(random, ['gzip', 'deflate'] as const)
  return {
    kind: 'bomb',
    headers: call('ModelInfer', { 'grpc-encoding': encoding }),
    writes: [framed(bomb(encoding), 1)],
    end: 'end',
  }
}

/** The five bytes before a message, and what follows it. */
function brokenFraming(random: Random): GrpcCase {
  const message = right(random)
  const headers = call(pick(random, ['ModelInfer', 'ModelInfer', 'ModelStreamInfer']))
  const kind = 'framing'
  switch (random.uint32() % 8) {
    case 0:
      return { kind, headers, writes: [framed(message, pick(random, [1, 2, 127, 255]))], end: 'end' }
    case 1:
      return {
        kind,
        headers,
        writes: [framed(message, 0, message.length + pick(random, [1, 100, -1, -4]))],
        end: 'end',
      }
    case 2:
      return {
        kind,
        headers,
        writes: [framed(message, 0, pick(random, [0xffffffff, 0x7fffffff, 0x80000000, 0]))],
        end: 'end',
      }
    case 3:
      return { kind, headers, writes: [framed(message), framed(message)], end: 'end' }
    case 4:
      return { kind, headers, writes: [], end: 'end' }
    case 5:
      return { kind, headers, writes: [framed(message).subarray(0, below(random, 6))], end: 'end' }
    case 6:
      return { kind, headers, writes: inPieces(random, framed(message)), end: 'end' }
    default:
      return { kind, headers, writes: [framed(message), randomBytes(random, 1 + below(random, 40))], end: 'end' }
  }
}

function brokenHeaders(random: Random): GrpcCase {
  const headers = call('ModelInfer')
  switch (random.uint32() % 9) {
    case 0:
      headers[':path'] = pick(random, [
        '/',
        '/inference.GRPCInferenceService/',
        `${SERVICE}Nothing`,
        '/x/y',
        `${SERVICE}ModelInfer/`,
        '/%00',
        `${SERVICE}ModelInfer?x=y`,
      ])
      break
    case 1:
      headers['content-type'] = pick(random, [
        'application/json',
        'application/grpc+json',
        'application/grpc+proto',
        'application/grpc-web',
        'x',
        '',
      ])
      break
    case 2:
      delete headers['content-type']
      break
    case 3:
      headers['grpc-timeout'] = pick(random, [
        '0n',
        '1n',
        '-1S',
        '1',
        'S',
        '99999999H',
        '999999999S',
        '1x',
        '0S',
        '1.5S',
        '',
        '50m',
      ])
      break
    case 4:
      headers['grpc-encoding'] = pick(random, ['snappy', 'identity', 'gzip', 'zstd', '', 'gzip,gzip'])
      break
    case 5:
      headers[':method'] = pick(random, ['GET', 'PUT', 'DELETE', 'OPTIONS', 'X'])
      break
    case 6:
      headers['strange-bin'] = pick(random, ['not base64!', '====', 'AAAA', ''])
      break
    case 7:
      headers['many'] = 'x'.repeat(pick(random, [1000, 20_000]))
      break
    default:
      delete headers['te']
  }
  return { kind: 'headers', headers, writes: [framed(right(random))], end: 'end' }
}

function cutShort(random: Random): GrpcCase {
  const bytes = framed(right(random))
  const headers = call(pick(random, ['ModelInfer', 'ModelStreamInfer']))
  const end = pick(random, ['end', 'reset', 'leave'] as const)
  return { kind: 'cut short', headers, writes: [bytes.subarray(0, below(random, bytes.length))], end }
}

/** Right and wrong requests on one stream; a wrong one does not end it. */
function streamCall(random: Random): GrpcCase {
  const writes = Array.from({ length: 1 + below(random, 6) }, () => {
    const request = rightRequest(random)
    if (chance(random, 0.4)) breakRequest(random, request)
    const bytes = encodeRequest(random, request, chance(random, 0.3))
    return framed(chance(random, 0.1) ? mutateBytes(random, bytes) : bytes)
  })
  return {
    kind: 'stream',
    headers: call('ModelStreamInfer'),
    writes,
    end: pick(random, ['end', 'end', 'end', 'reset', 'leave'] as const),
  }
}

function otherMethod(random: Random): GrpcCase {
  const message = pick(random, [
    Buffer.alloc(0),
    sized(1, pick(random, ['simple', 'nowhere', 'x'.repeat(1000), ''])),
    Buffer.concat([sized(1, 'simple'), sized(2, pick(random, ['1', '9', '-1', 'x']))]),
    strangeField(random),
    randomBytes(random, below(random, 50)),
  ])
  const isHealth = chance(random, 0.15)
  const headers = call(pick(random, OTHER_METHODS))
  if (isHealth) headers[':path'] = '/grpc.health.v1.Health/Check'
  return { kind: 'method', headers, writes: [framed(message)], end: 'end' }
}

function inPieces(random: Random, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + below(random, 40)
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}

/** A session that cases follow each other on; replaced when the server has ended it. */
export class GrpcConnection {
  #session: ClientHttp2Session | undefined
  constructor(
    private readonly port: number,
    private readonly patienceMs: number,
  ) {}

  /** Undefined when the client went first. Rejects when the server is gone or keeps the client waiting. */
  send({ headers, writes, end }: GrpcCase): Promise<GrpcAnswer | undefined> {
    return new Promise((resolve, reject) => {
      let stream: ClientHttp2Stream
      try {
        stream = this.#open().request(headers, { endStream: false })
      } catch (error) {
        // Node refuses to write some of the headers; that says nothing of the server.
        this.close()
        if (error instanceof Error && 'code' in error) return resolve(undefined)
        return reject(error)
      }
      const chunks: Buffer[] = []
      let http: number | undefined
      let trailers: Readonly<Record<string, unknown>> = {}
      let hasLeft = false
      let leaving: NodeJS.Timeout | undefined
      const patience = setTimeout(() => {
        this.close()
        reject(new Error(`no end of the call after ${this.patienceMs} ms`))
      }, this.patienceMs)
      const leave = () => {
        hasLeft = true
        stream.close(constants.NGHTTP2_CANCEL)
      }
      stream.on('response', (received) => {
        http = received[':status']
        // An answer of headers only has its status there.
        trailers = received
      })
      stream.on('trailers', (received) => (trailers = received))
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ECONNREFUSED') return
        clearTimeout(patience)
        reject(new Error('the server is gone'))
      })
      stream.once('close', () => {
        clearTimeout(patience)
        clearTimeout(leaving)
        if (hasLeft) return resolve(undefined)
        const status = trailers['grpc-status']
        resolve({
          http,
          status: status === undefined ? undefined : Number(status),
          message: String(trailers['grpc-message'] ?? ''),
          code: trailers['headrace-code'] as string | undefined,
          resetCode: stream.rstCode,
          bytes: Buffer.concat(chunks),
        })
      })
      for (const bytes of writes) stream.write(bytes)
      if (end === 'end') stream.end()
      else if (end === 'reset') leave()
      else leaving = setTimeout(leave, 30)
    })
  }

  #open(): ClientHttp2Session {
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed) return this.#session
    const session = connect(`http://127.0.0.1:${this.port}`)
    session.on('error', () => {})
    this.#session = session
    return session
  }

  close(): void {
    this.#session?.destroy()
    this.#session = undefined
  }
}
