// A server of the Open Inference Protocol over HTTP on a real socket, written apart from ours and as small as it can be. It doubles
// numbers like `FakeBackend`, and misbehaves as a test says.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface InferBody {
  readonly id: string
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly inputs: readonly {
    readonly name: string
    readonly shape: readonly number[]
    readonly datatype: string
    readonly data: readonly number[]
  }[]
  readonly outputs?: readonly { readonly name: string; readonly parameters?: { readonly binary_data?: boolean } }[]
}

export interface Output {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

export interface InferSeen {
  readonly body: InferBody
  readonly headers: IncomingMessage['headers']
  readonly response: ServerResponse
  readonly isBinary: boolean
  /** The connection that it came on, numbered. */
  readonly connection: number
}

export interface FakeOipServer {
  readonly url: string
  readonly port: number
  readonly seen: InferSeen[]
  /** Requests that are not for inference, as `GET /v2`. */
  readonly looks: string[]
  /** May be changed at any time. */
  readonly behaviour: Behaviour
  /** Stops listening and breaks every connection; `reopen` takes the same port again. */
  stop(): Promise<void>
  reopen(): Promise<void>
}

export interface Behaviour {
  extensions: readonly string[]
  isReady: boolean
  metadata: { inputs: unknown; outputs: unknown }
  config: unknown
  /** True when it has answered itself; false leaves it to the server. */
  infer: (seen: InferSeen) => boolean | Promise<boolean>
}

export const DOUBLER_METADATA = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }],
  outputs: [
    { name: 'double', datatype: 'FP32', shape: [-1, -1] },
    { name: 'sum', datatype: 'FP32', shape: [-1] },
  ],
}

export async function fakeOipServer(given: Partial<Behaviour> = {}): Promise<FakeOipServer> {
  const behaviour: Behaviour = {
    extensions: ['binary_tensor_data'],
    isReady: true,
    metadata: DOUBLER_METADATA,
    config: undefined,
    infer: () => false,
    ...given,
  }
  const seen: InferSeen[] = []
  const looks: string[] = []
  const connections = new WeakMap<object, number>()
  let count = 0
  const server: Server = createServer(async (request, response) => {
    const body = await bytesOf(request)
    const url = request.url!
    if (!url.endsWith('/infer')) looks.push(`${request.method} ${url}`)
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (url === '/v2') json(200, { name: 'fake', version: '1', extensions: behaviour.extensions })
    else if (url.endsWith('/ready')) json(behaviour.isReady ? 200 : 503, {})
    else if (url.endsWith('/config')) json(behaviour.config === undefined ? 404 : 200, behaviour.config ?? {})
    else if (!url.endsWith('/infer')) json(200, { name: 'm', versions: ['1'], platform: 'fake', ...behaviour.metadata })
    else {
      const one = readInfer(request, body, response, connections.get(request.socket)!)
      seen.push(one)
      if (!(await behaviour.infer(one))) answer(one, doubled(one.body))
    }
  })
  server.on('connection', (socket) => connections.set(socket, count++))
  await listen(server, 0)
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    seen,
    looks,
    behaviour,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
    reopen: () => listen(server, port),
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function readInfer(request: IncomingMessage, bytes: Buffer, response: ServerResponse, connection: number): InferSeen {
  const announced = request.headers['inference-header-content-length']
  const jsonBytes = announced === undefined ? bytes.length : Number(announced)
  const body = JSON.parse(bytes.subarray(0, jsonBytes).toString())
  let at = jsonBytes
  for (const input of body.inputs) {
    const size = input.parameters?.binary_data_size
    if (size === undefined) continue
    input.data = []
    for (let i = 0; i < size; i += 4) input.data.push(bytes.readFloatLE(at + i))
    at += size
  }
  return { body, headers: request.headers, response, isBinary: announced !== undefined, connection }
}

export function doubled({ inputs }: InferBody): Output[] {
  const { shape, data } = inputs[0]!
  const rows = shape[0]!
  const width = rows === 0 ? 0 : data.length / rows
  const sum = Array.from({ length: rows }, (_, row) =>
    data.slice(row * width, (row + 1) * width).reduce((total, value) => Math.fround(total + value), 0),
  )
  return [
    { name: 'double', datatype: 'FP32', shape, data: data.map((value) => 2 * value) },
    { name: 'sum', datatype: 'FP32', shape: [rows], data: sum },
  ]
}

/** Answers as asked: which outputs, in binary or JSON. */
export function answer({ body, response }: InferSeen, outputs: readonly Output[]): void {
  const parts: Buffer[] = []
  const wanted: NonNullable<InferBody['outputs']> = body.outputs ?? outputs.map(({ name }) => ({ name }))
  const described = wanted.map(({ name, parameters }) => {
    const { data, ...head } = outputs.find((output) => output.name === name)!
    if (parameters?.binary_data !== true) return { ...head, data }
    const bytes = Buffer.alloc(4 * data.length)
    for (const [i, value] of data.entries()) bytes.writeFloatLE(value, 4 * i)
    parts.push(bytes)
    return { ...head, parameters: { binary_data_size: bytes.length } }
  })
  const json = Buffer.from(JSON.stringify({ model_name: 'm', id: body.id, outputs: described }))
  response.writeHead(200, parts.length === 0 ? {} : { 'inference-header-content-length': json.length })
  response.end(Buffer.concat([json, ...parts]))
}
