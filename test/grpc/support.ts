// Calls over gRPC for tests: grpc-js's client for what clients do, and bare HTTP/2 for what none would.
import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { type Client, type Metadata, Metadata as MetadataClass, type ServiceError, status } from '@grpc/grpc-js'
import { inferenceService, type Method, ModelInferRequest, type ModelInferResponse } from '../../src/oip/index.js'

export type InferRequestParts = Partial<ModelInferRequest>

export function inferRequest(parts: InferRequestParts): ModelInferRequest {
  return { ...ModelInferRequest.decode(new Uint8Array()), ...parts }
}

export interface InputParts {
  readonly name?: string
  readonly datatype?: string
  readonly shape?: readonly (number | bigint)[]
  readonly contents?: Partial<NonNullable<ModelInferRequest['inputs'][number]['contents']>>
  readonly parameters?: ModelInferRequest['parameters']
}

const NO_CONTENTS = {
  boolContents: [],
  intContents: [],
  int64Contents: [],
  uintContents: [],
  uint64Contents: [],
  fp32Contents: [],
  fp64Contents: [],
  bytesContents: [],
}

export function input(parts: InputParts = {}): ModelInferRequest['inputs'][number] {
  const { name = 'x', datatype = 'FP32', shape = [1, 4], contents, parameters = new Map() } = parts
  return {
    name,
    datatype,
    shape: shape.map(BigInt),
    parameters,
    contents: contents && { ...NO_CONTENTS, ...contents },
  }
}

export function raw(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

export interface Answer<T> {
  /** A gRPC status code. */
  readonly code: number
  readonly details: string
  /** Our code. */
  readonly error: string | undefined
  readonly reply: T | undefined
  readonly trailers: Metadata
}

export interface CallOptions {
  readonly metadata?: Readonly<Record<string, string>>
  readonly deadlineMs?: number
  /** Called with what cancels the call. */
  readonly started?: (cancel: () => void) => void
}

/** A unary call; never rejects. */
export function callUnary<Request, Response>(
  client: Client,
  method: Method<Request, Response>,
  request: Request,
  options: CallOptions = {},
): Promise<Answer<Response>> {
  const metadata = new MetadataClass()
  for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value)
  const callOptions = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs }
  return new Promise((resolve) => {
    let ended: ServiceError | null = null
    let reply: Response | undefined
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      callOptions,
      (error, value) => {
        ended = error
        reply = value
      },
    )
    call.on('status', ({ code, details, metadata: trailers }) => {
      // The callback comes first.
      void ended
      resolve({ code, details, error: trailers.get('headrace-code')[0]?.toString(), reply, trailers })
    })
    options.started?.(() => call.cancel())
  })
}

export function infer(
  client: Client,
  parts: InferRequestParts,
  options?: CallOptions,
): Promise<Answer<ModelInferResponse>> {
  return callUnary(client, inferenceService.ModelInfer, inferRequest(parts), options)
}

export const Code = status

export const INFER_HEADERS: OutgoingHttpHeaders = {
  ':method': 'POST',
  ':path': inferenceService.ModelInfer.path,
  'content-type': 'application/grpc',
  te: 'trailers',
}

export function frame(message: Uint8Array, flag = 0, sizeBytes = message.length): Buffer {
  const head = Buffer.alloc(5)
  head[0] = flag
  head.writeUInt32BE(sizeBytes >>> 0, 1)
  return Buffer.concat([head, message])
}

export interface RawAnswer {
  readonly http: number | undefined
  readonly code: number | undefined
  readonly error: string | undefined
  readonly message: string
  readonly body: Buffer
  /** Of the reset that ended it; 0 for none. */
  readonly rstCode: number
  readonly headers: IncomingHttpHeaders
}

export interface RawCallOptions {
  readonly headers?: OutgoingHttpHeaders
  /** Pieces, sent one after the other. */
  readonly chunks?: readonly Uint8Array[]
  /** Whether the client says that it is done. Default true. */
  readonly ends?: boolean
}

export class RawClient {
  private constructor(readonly session: ClientHttp2Session) {}

  static open(address: string, options: Parameters<typeof connect>[1] = {}): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const session = connect(`http://${address}`, options)
      session.once('error', reject)
      // What the server allows holds from its settings on.
      session.once('remoteSettings', () => {
        session.off('error', reject)
        session.on('error', () => {})
        resolve(new RawClient(session))
      })
    })
  }

  call({ headers = {}, chunks = [], ends = true }: RawCallOptions): Promise<RawAnswer> {
    return new Promise((resolve) => {
      const stream = this.session.request({ ...INFER_HEADERS, ...headers }, { endStream: ends && chunks.length === 0 })
      let head: IncomingHttpHeaders = {}
      let tail: IncomingHttpHeaders = {}
      const body: Buffer[] = []
      stream.on('response', (received) => {
        head = received
      })
      stream.on('trailers', (received) => {
        tail = received
      })
      stream.on('data', (chunk: Buffer) => body.push(chunk))
      stream.on('error', () => {})
      stream.on('close', () => {
        const all = { ...head, ...tail }
        const status = all['grpc-status']
        resolve({
          http: head[':status'] as number | undefined,
          code: status === undefined ? undefined : Number(status),
          error: all['headrace-code'] as string | undefined,
          message: decodeURIComponent(String(all['grpc-message'] ?? '')),
          body: Buffer.concat(body),
          rstCode: stream.rstCode,
          headers: all,
        })
      })
      for (const [i, chunk] of chunks.entries()) {
        if (ends && i + 1 === chunks.length) stream.end(chunk)
        else stream.write(chunk)
      }
    })
  }

  close(): void {
    this.session.destroy()
  }
}
