// The Open Inference Protocol over gRPC. Tensors are always sent raw; answers may come raw (Triton) or typed (MLServer).
import type { Client, ClientUnaryCall, Metadata, ServiceError } from '@grpc/grpc-js'
import {
  type InferOutputTensor,
  type InferParameter,
  inferenceService,
  type Method,
  type ModelInferRequest,
  type ModelInferResponse,
  openGrpcClient,
} from '../../oip/index.js'
import {
  BINARY_INLINE_BYTES,
  binaryTensor,
  readBinaryTensor,
  readBinaryTensorInTurns,
  readTypedContents,
  type Tensor,
  type TensorMap,
  type TensorSpec,
} from '../../tensor/index.js'
import { RemoteErrors } from './errors.js'
import type { RemoteFailure } from './failure.js'
import { checkOutput, type ExpectedReply, inOrder, ReplyProblem } from './infer-reply.js'
import { specOf } from './signature.js'
import type { InferCall, RemoteDescription, Transport, TransportOptions, Try } from './transport.js'

const NO_PARAMETERS: Map<string, InferParameter> = new Map()
const LARGEST_MESSAGE = -1

/** Of gRPC's status codes, those that say something of their own here. */
const CANCELLED = 1
const UNKNOWN = 2
const INVALID_ARGUMENT = 3
const DEADLINE_EXCEEDED = 4
const NOT_FOUND = 5
const PERMISSION_DENIED = 7
const RESOURCE_EXHAUSTED = 8
const FAILED_PRECONDITION = 9
const OUT_OF_RANGE = 11
const UNIMPLEMENTED = 12
const UNAVAILABLE = 14
const UNAUTHENTICATED = 16

/** What servers say of a model that they do not have, or not yet; MLServer (1.7) says UNKNOWN. */
const NOT_THERE: readonly number[] = [UNKNOWN, INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION]

const REFUSALS: Readonly<Record<number, string>> = {
  [NOT_FOUND]: 'NOT_FOUND',
  [PERMISSION_DENIED]: 'PERMISSION_DENIED',
  [FAILED_PRECONDITION]: 'FAILED_PRECONDITION',
  [UNIMPLEMENTED]: 'UNIMPLEMENTED',
  [UNAUTHENTICATED]: 'UNAUTHENTICATED',
}

export class GrpcTransport implements Transport {
  readonly #options: TransportOptions
  readonly #client: Client
  readonly #metadata: Metadata
  #specs: ReadonlyMap<string, TensorSpec> = new Map()

  private constructor(options: TransportOptions, client: Client, metadata: Metadata) {
    this.#options = options
    this.#client = client
    this.#metadata = metadata
  }

  static async open(options: TransportOptions): Promise<GrpcTransport> {
    const { remote, headers, failures } = options
    const { Metadata, credentials } = await import('@grpc/grpc-js')
    const metadata = new Metadata()
    for (const [name, value] of Object.entries(headers)) {
      try {
        metadata.set(name, name.toLowerCase().endsWith('-bin') ? Buffer.from(value) : value)
      } catch {
        // What grpc-js says shows the value, which may be a secret.
        throw RemoteErrors.HEADER_INVALID({ model: failures.model, header: name })
      }
    }
    const { protocol, host } = new URL(remote.url)
    // grpc-js keeps one connection for all clients of an address that have the same options.
    const client = await openGrpcClient(host, {
      ...(protocol === 'grpcs:' ? { credentials: credentials.createSsl() } : {}),
      'grpc.max_receive_message_length': remote.maxReplyBytes,
      'grpc.max_send_message_length': LARGEST_MESSAGE,
      // Retries are ours, within a budget.
      'grpc.enable_retries': 0,
      'grpc.initial_reconnect_backoff_ms': 250,
      'grpc.max_reconnect_backoff_ms': 10_000,
    })
    return new GrpcTransport(options, client, metadata)
  }

  expect(outputs: readonly TensorSpec[]): void {
    this.#specs = new Map(outputs.map((spec) => [spec.name, spec]))
  }

  async ready(limitMs: number): Promise<void> {
    const { failures } = this.#options
    const { ready } = await this.#ask(inferenceService.ModelReady, this.#name(), limitMs)
    if (!ready) throw failures.unready('the model is not ready there')
  }

  async describe(limitMs: number): Promise<RemoteDescription> {
    const [{ extensions }, { inputs, outputs }] = await Promise.all([
      this.#ask(inferenceService.ServerMetadata, {}, limitMs),
      this.#ask(inferenceService.ModelMetadata, this.#name(), limitMs),
    ])
    const config = extensions.includes('model_configuration')
      ? await this.#ask(inferenceService.ModelConfig, this.#name(), limitMs).then(
          ({ config }) => config,
          () => undefined,
        )
      : undefined
    const optional = new Set(config?.input.filter(({ optional }) => optional).map(({ name }) => name))
    const specs = (tensors: typeof inputs) =>
      tensors.map((tensor) => {
        const spec = specOf(tensor)
        if (spec === undefined)
          throw this.#options.failures.signatureUnknown(
            `its metadata holds ${tensor.name} ${tensor.datatype} [${tensor.shape}]`,
          )
        return spec
      })
    return {
      inputs: specs(inputs).map((spec) => (optional.has(spec.name) ? { ...spec, isOptional: true } : spec)),
      outputs: specs(outputs),
      maxBatchSize: config?.maxBatchSize,
      speaksBinary: true,
    }
  }

  infer(call: InferCall): Try {
    const { remote } = this.#options
    const { id, outputs, limitMs } = call
    const request: ModelInferRequest = {
      modelName: remote.model,
      modelVersion: remote.version ?? '',
      id,
      parameters: Number.isFinite(limitMs) ? timeoutOf(limitMs) : NO_PARAMETERS,
      inputs: [],
      outputs: outputs.map((name) => ({ name, parameters: NO_PARAMETERS })),
      rawInputContents: [],
    }
    for (const tensor of call.inputs.values()) {
      const { name, datatype, shape } = tensor
      request.inputs.push({ name, datatype, shape: shape.map(BigInt), parameters: NO_PARAMETERS, contents: undefined })
      request.rawInputContents.push(binaryTensor(tensor))
    }
    let sent: ClientUnaryCall | undefined
    const answer = new Promise<ModelInferResponse>((resolve, reject) => {
      sent = this.#send(inferenceService.ModelInfer, request, limitMs, resolve, reject)
    }).then((response) => this.#read(response, { specs: this.#specs, outputs, id }))
    return { answer, cancel: () => sent?.cancel() }
  }

  close(): void {
    this.#client.close()
  }

  async #read(response: ModelInferResponse, expected: ExpectedReply): Promise<TensorMap> {
    try {
      return await readResponse(response, expected)
    } catch (error) {
      if (error instanceof ReplyProblem) throw this.#options.failures.invalid(error.text, error.cause)
      throw this.#options.failures.invalid((error as Error).message.replace(/\.$/, ''), error)
    }
  }

  #name(): { name: string; version: string } {
    const { model, version } = this.#options.remote
    return { name: model, version: version ?? '' }
  }

  /** Of looks at the server, for which a model that is not there is not ready. */
  async #ask<Request, Response>(
    method: Method<Request, Response>,
    message: Request,
    limitMs: number,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.#send(method, message, limitMs, resolve, reject, (error) => {
        const { code, details } = error
        return NOT_THERE.includes(code) ? this.#options.failures.unready(details) : undefined
      })
    })
  }

  #send<Request, Response>(
    { path, requestSerialize, responseDeserialize }: Method<Request, Response>,
    message: Request,
    limitMs: number,
    resolve: (response: Response) => void,
    reject: (failure: RemoteFailure) => void,
    own: (error: ServiceError) => RemoteFailure | undefined = () => undefined,
  ): ClientUnaryCall {
    const options = Number.isFinite(limitMs) ? { deadline: this.#options.clock.nowMs() + limitMs } : {}
    return this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      this.#metadata,
      options,
      (error, response) => {
        if (error !== null) reject(own(error) ?? this.#failureOf(error, limitMs))
        else resolve(response!)
      },
    )
  }

  #failureOf({ code, details: said }: ServiceError, limitMs: number): RemoteFailure {
    const details = said.replace(/\.? *Resolution note: *$/, '')
    const { failures, remote } = this.#options
    switch (code) {
      case INVALID_ARGUMENT:
      case OUT_OF_RANGE:
        return failures.inputRefused(details)
      case DEADLINE_EXCEEDED:
        return failures.timeout(limitMs)
      case RESOURCE_EXHAUSTED:
        return details.startsWith('Received message larger than max')
          ? failures.tooLarge(remote.maxReplyBytes)
          : failures.busy(details, undefined, false)
      case UNAVAILABLE:
        return isConnection(details) ? failures.unreachable(details) : failures.busy(details, undefined, true)
      case CANCELLED:
        return failures.unreachable('the call was cancelled', true)
      default:
        if (details.includes('parsing error') || details.includes('Failed to deserialize'))
          return failures.invalid(details)
        return code in REFUSALS
          ? failures.refused(`gRPC ${REFUSALS[code]}`, details)
          : failures.failed(`gRPC status ${code}`, details)
    }
  }
}

/** What grpc-js itself says of connections; anything else under this status was said by the server. */
function isConnection(details: string): boolean {
  return /ECONN|EPIPE|ENOTFOUND|EAI_|ETIMEDOUT|EHOST|ENET|connection|resolution|socket|TLS|certificate|GOAWAY|session/i.test(
    details,
  )
}

function timeoutOf(limitMs: number): Map<string, InferParameter> {
  const value = BigInt(Math.max(1, Math.floor(limitMs * 1000)))
  return new Map([['timeout', { parameterChoice: { $case: 'int64Param', value } }]])
}

async function readResponse(response: ModelInferResponse, expected: ExpectedReply): Promise<TensorMap> {
  const { id, outputs, rawOutputContents } = response
  if (id !== '' && id !== expected.id) throw new ReplyProblem('it is the answer to another request')
  const tensors = new Map<string, Tensor>()
  let raw = 0
  for (const output of outputs) {
    if (tensors.has(output.name)) throw new ReplyProblem(`output "${output.name}" came twice`)
    // MLServer mixes them: what has no contents is raw.
    const bytes = isTyped(output) ? undefined : rawOutputContents[raw++]
    tensors.set(output.name, await readOutput(output, bytes, expected))
  }
  if (raw < rawOutputContents.length)
    throw new ReplyProblem(`it has ${rawOutputContents.length} raw contents for ${raw} outputs`)
  return inOrder(tensors, expected.outputs)
}

async function readOutput(
  { name, datatype, shape, contents }: InferOutputTensor,
  bytes: Uint8Array | undefined,
  expected: ExpectedReply,
): Promise<Tensor> {
  const sizes = shape.map(Number)
  const known = checkOutput(name, datatype, sizes, expected)
  if (bytes === undefined)
    return { name, datatype: known, shape: sizes, data: readTypedContents(contents ?? {}, name, known, sizes) }
  const data =
    bytes.length > BINARY_INLINE_BYTES
      ? await readBinaryTensorInTurns(bytes, name, known, sizes)
      : readBinaryTensor(bytes, name, known, sizes)
  return { name, datatype: known, shape: sizes, data }
}

function isTyped({ contents }: InferOutputTensor): boolean {
  return contents !== undefined && Object.values(contents).some((list) => list.length > 0)
}
