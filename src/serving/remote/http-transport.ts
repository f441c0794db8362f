// The Open Inference Protocol over HTTP: tensors in their binary form where the server knows it, else as exact JSON.
import type { Agent } from 'node:http'
import {
  binarySizeBytes,
  binaryTensor,
  quoteJson,
  type RemoteModel,
  type Tensor,
  type TensorMap,
  type TensorSpec,
  writeTensorJson,
} from '../../tensor/index.js'
import { type Failures, isNotText, type RemoteFailure } from './failure.js'
import { HttpExchange, type HttpReply, type HttpTrouble, sizeOf } from './http-exchange.js'
import { ReplyProblem, readInferReply } from './infer-reply.js'
import { specOf } from './signature.js'
import type { InferCall, RemoteDescription, Transport, TransportOptions, Try } from './transport.js'

/** Of metadata and configurations. */
const MAX_DESCRIPTION_BYTES = 1024 * 1024
const JSON_LENGTH = 'inference-header-content-length'
const NO_BODY: readonly Uint8Array[] = []

export interface HttpTransportOptions extends TransportOptions {
  /** Shared: it keeps connections by host. */
  readonly agent: Agent
}

export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions
  readonly #remote: RemoteModel
  readonly #failures: Failures
  readonly #origin: URL
  readonly #base: string
  /** `…/v2/models/<model>[/versions/<version>]` */
  readonly #modelPath: string
  #isBinary = false
  #specs: ReadonlyMap<string, TensorSpec> = new Map()
  /** Requests under way, which `close` ends. */
  readonly #open = new Set<HttpExchange>()

  constructor(options: HttpTransportOptions) {
    const { remote, failures } = options
    this.#options = options
    this.#remote = remote
    this.#failures = failures
    this.#origin = new URL(remote.url)
    this.#base = this.#origin.pathname.replace(/\/$/, '')
    const version = remote.version === undefined ? '' : `/versions/${encodeURIComponent(remote.version)}`
    this.#modelPath = `${this.#base}/v2/models/${encodeURIComponent(remote.model)}${version}`
  }

  expect(outputs: readonly TensorSpec[], isBinary: boolean): void {
    this.#specs = new Map(outputs.map((spec) => [spec.name, spec]))
    this.#isBinary = isBinary
  }

  async ready(limitMs: number): Promise<void> {
    const { status, body } = await this.#get(`${this.#modelPath}/ready`, limitMs)
    // Triton answers 400 and others 404 or 503; KServe 200 with what it thinks.
    if (status === 200) {
      const said = parseJson(body)
      if (said?.['ready'] === false) throw this.#failures.unready('the model is not ready there')
      return
    }
    if (status === 401 || status === 403) throw this.#failures.refused(`HTTP ${status}`, errorText(body))
    throw this.#failures.unready(`its answer was HTTP ${status}: ${errorText(body)}`)
  }

  async describe(limitMs: number): Promise<RemoteDescription> {
    const [server, model] = await Promise.all([
      this.#getJson(`${this.#base}/v2`, limitMs),
      this.#getJson(this.#modelPath, limitMs),
    ])
    const extensions = server['extensions']
    const has = (name: string) => Array.isArray(extensions) && extensions.includes(name)
    const config = has('model_configuration') ? await this.#config(limitMs) : undefined
    const optional = new Set<unknown>()
    for (const input of listOf(config?.['input'])) if (input['optional'] === true) optional.add(input['name'])
    const maxBatchSize = config?.['max_batch_size']
    return {
      inputs: this.#specsOf(model, 'inputs').map((spec) =>
        optional.has(spec.name) ? { ...spec, isOptional: true } : spec,
      ),
      outputs: this.#specsOf(model, 'outputs'),
      maxBatchSize: typeof maxBatchSize === 'number' ? maxBatchSize : undefined,
      speaksBinary: has('binary_tensor_data'),
    }
  }

  infer(call: InferCall): Try {
    let head: string
    const body: Uint8Array[] = []
    try {
      head = this.#isBinary ? binaryRequest(call, body) : jsonRequest(call)
    } catch (error) {
      if (!isNotText(error)) throw error
      const { params } = error
      const refusal = this.#failures.inputNotText(String(params['output']), Number(params['index']))
      return { answer: Promise.reject(refusal), cancel() {} }
    }
    const json = Buffer.from(head)
    body.unshift(json)
    const { headers } = this.#options
    const exchange = this.#exchange('POST', `${this.#modelPath}/infer`, body, call.limitMs, {
      ...headers,
      'content-type': this.#isBinary ? 'application/octet-stream' : 'application/json',
      'content-length': sizeOf(body),
      ...(this.#isBinary ? { [JSON_LENGTH]: json.length } : {}),
    })
    const answer = exchange.reply.then(
      (reply) => this.#readAnswer(reply, call),
      (trouble: HttpTrouble) => {
        throw this.#failureOf(trouble, call.limitMs, this.#remote.maxReplyBytes)
      },
    )
    return { answer, cancel: () => exchange.cancel() }
  }

  close(): void {
    for (const exchange of this.#open) exchange.cancel()
  }

  async #readAnswer({ status, headers, body }: HttpReply, { outputs, id }: InferCall): Promise<TensorMap> {
    if (status !== 200) throw this.#refusal(status, headers, body)
    const announced = headers[JSON_LENGTH]
    const jsonBytes = announced === undefined ? body.length : Number(announced)
    if (!Number.isSafeInteger(jsonBytes) || jsonBytes < 0 || jsonBytes > body.length)
      throw this.#failures.invalid(
        `it is ${body.length} bytes long and says that ${String(announced)} of them are JSON`,
      )
    try {
      return await readInferReply(body, jsonBytes, { specs: this.#specs, outputs, id })
    } catch (error) {
      if (error instanceof ReplyProblem) throw this.#failures.invalid(error.text, error.cause)
      throw error
    }
  }

  #refusal(status: number, headers: HttpReply['headers'], body: Buffer): RemoteFailure {
    const said = errorText(body)
    if (status === 400 || status === 422) return this.#failures.inputRefused(said)
    if (status === 429 || status === 503)
      return this.#failures.busy(said, retryAfterMs(headers['retry-after']), status === 503)
    if (status >= 300 && status < 400)
      return this.#failures.refused(`HTTP ${status}`, `it points to ${headers.location ?? 'nowhere'}`)
    return status < 500 ? this.#failures.refused(`HTTP ${status}`, said) : this.#failures.failed(`HTTP ${status}`, said)
  }

  #failureOf({ kind, reason, hadAnswer }: HttpTrouble, limitMs: number, maxBytes: number): RemoteFailure {
    switch (kind) {
      case 'timeout':
        return this.#failures.timeout(limitMs)
      case 'too-large':
        return this.#failures.tooLarge(maxBytes)
      default:
        return this.#failures.unreachable(reason, hadAnswer)
    }
  }

  #exchange(
    method: 'GET' | 'POST',
    path: string,
    body: readonly Uint8Array[],
    limitMs: number,
    headers: Readonly<Record<string, string | number>>,
  ): HttpExchange {
    const { agent, clock } = this.#options
    const maxReplyBytes = method === 'GET' ? MAX_DESCRIPTION_BYTES : this.#remote.maxReplyBytes
    const exchange = new HttpExchange({
      origin: this.#origin,
      agent,
      method,
      path,
      headers,
      body,
      limitMs,
      maxReplyBytes,
      clock,
    })
    this.#open.add(exchange)
    const forget = () => void this.#open.delete(exchange)
    exchange.reply.then(forget, forget)
    return exchange
  }

  async #get(path: string, limitMs: number): Promise<HttpReply> {
    try {
      return await this.#exchange('GET', path, NO_BODY, limitMs, this.#options.headers).reply
    } catch (trouble) {
      throw this.#failureOf(trouble as HttpTrouble, limitMs, MAX_DESCRIPTION_BYTES)
    }
  }

  async #getJson(path: string, limitMs: number): Promise<Readonly<Record<string, unknown>>> {
    const { status, headers, body } = await this.#get(path, limitMs)
    if (status === 400 || status === 404 || status === 422)
      throw this.#failures.unready(`${path} answers HTTP ${status}: ${errorText(body)}`)
    if (status !== 200) throw this.#refusal(status, headers, body)
    const value = parseJson(body)
    if (value === undefined) throw this.#failures.invalid(`${path} is no JSON object`)
    return value
  }

  /** Undefined when the server has none after all. */
  async #config(limitMs: number): Promise<Readonly<Record<string, unknown>> | undefined> {
    const { status, body } = await this.#get(`${this.#modelPath}/config`, limitMs)
    return status === 200 ? parseJson(body) : undefined
  }

  #specsOf(model: Readonly<Record<string, unknown>>, key: 'inputs' | 'outputs'): TensorSpec[] {
    return listOf(model[key]).map((tensor) => {
      const spec = specOf({ name: tensor['name'], datatype: tensor['datatype'], shape: tensor['shape'] })
      if (spec === undefined)
        throw this.#failures.signatureUnknown(`"${key}" of its metadata holds ${JSON.stringify(tensor)}`)
      return spec
    })
  }
}

/** The JSON of a request whose tensors follow it; they are added to `body`, uncopied. */
function binaryRequest({ id, inputs, outputs, limitMs }: InferCall, body: Uint8Array[]): string {
  let text = opening(id, limitMs)
  for (const tensor of inputs.values()) {
    text += `${body.length === 0 ? '' : ','}${tensorHead(tensor)},"parameters":{"binary_data_size":${binarySizeBytes(tensor)}}}`
    body.push(binaryTensor(tensor))
  }
  return `${text}],"outputs":[${outputs.map((name) => `{"name":${quoteJson(name)},"parameters":{"binary_data":true}}`).join(',')}]}`
}

function jsonRequest({ id, inputs, outputs, limitMs }: InferCall): string {
  let text = opening(id, limitMs)
  let isFirst = true
  for (const tensor of inputs.values()) {
    if (!isFirst) text += ','
    isFirst = false
    writeTensorJson(tensor, (piece) => {
      text += piece
    })
  }
  return `${text}],"outputs":[${outputs.map((name) => `{"name":${quoteJson(name)}}`).join(',')}]}`
}

function opening(id: string, limitMs: number): string {
  const parameters = Number.isFinite(limitMs)
    ? `"parameters":{"timeout":${Math.max(1, Math.floor(limitMs * 1000))}},`
    : ''
  return `{"id":${quoteJson(id)},${parameters}"inputs":[`
}

function tensorHead({ name, datatype, shape }: Tensor): string {
  return `{"name":${quoteJson(name)},"datatype":"${datatype}","shape":[${shape.join(',')}]`
}

function parseJson(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'object' && item !== null) : []
}

/** What a server says in an error: `error` in its JSON, `detail` where that is FastAPI's, or its text. */
function errorText(body: Buffer): string {
  const value = parseJson(body.subarray(0, 64 * 1024))
  const said = value?.['error'] ?? value?.['detail'] ?? value?.['message']
  if (said !== undefined) return typeof said === 'string' ? said : JSON.stringify(said)
  return body.subarray(0, 1000).toString()
}

/** Of a Retry-After in seconds; dates, which need two clocks to agree, are passed over. */
function retryAfterMs(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header.trim()) ? Number(header) * 1000 : undefined
}
