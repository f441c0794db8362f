// Other people's clients, as PyPI has them, against the compiled server: what each call saw. The scripts beside this file are the
// calls; their cases are named there.
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tempFolder } from '../support/temp-folder.js'
import { VERSIONS } from './models.js'
import { casesOf } from './python.js'
import { commandPath, type InteropServer, startInteropServer } from './server.js'

const run = promisify(execFile)
const LONG = { timeout: 240_000 }

let server: InteropServer
beforeAll(async () => {
  server = await startInteropServer()
}, 120_000)
afterAll(() => server?.close())

const DATATYPES = 'BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 BF16 FP32 FP64 BYTES'.split(' ')
/** true for each datatype but these. */
const allBut = (...left: readonly string[]) =>
  Object.fromEntries(DATATYPES.filter((datatype) => !left.includes(datatype)).map((datatype) => [datatype, true]))
const each = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, true]))
const text = (part: string) => expect.stringContaining(part) as string

/** The file of the model that a client may load and unload. */
const modelFile = (client: string) => join(server.modelsFolder, `control_${client}/1/model.onnx`)
const mlserver = () => {
  const command = commandPath('mlserver')
  return command && join(dirname(command), 'python3')
}

const SIMPLE_INPUTS = [
  ['INPUT0', 'TYPE_INT32', [16]],
  ['INPUT1', 'TYPE_INT32', [16]],
]
const DOUBLED = [0, 2, 4, 6]
const PLAIN = [0, 1, 2, 3]

describe('tritonclient.http', LONG, () => {
  const saw = casesOf({
    file: 'triton_http.py',
    python: () => commandPath('python3'),
    modules: ['tritonclient.http.aio', 'ml_dtypes'],
    args: async () => [server.http, modelFile('http')],
  })

  it('finds the server live and ready, and reads metadata', async ({ skip }) => {
    expect(await saw('health and metadata', skip)).toMatchObject({
      live: true,
      ready: true,
      modelReady: true,
      versionReady: true,
      unknownReady: false,
      server: {
        name: 'headrace',
        extensions: expect.arrayContaining([
          'binary_tensor_data',
          'classification',
          'model_configuration',
          'model_repository',
          'model_repository(unload_dependents)',
          'statistics',
        ]),
      },
      model: {
        name: 'simple',
        versions: ['1'],
        inputs: [
          { name: 'INPUT0', datatype: 'INT32', shape: [-1, 16] },
          { name: 'INPUT1', datatype: 'INT32', shape: [-1, 16] },
        ],
      },
      unknown: { status: '404', message: text('Request for unknown model') },
    })
  })

  it('gets every datatype back to the bit as binary', async ({ skip }) => {
    expect(await saw('binary round trips', skip)).toEqual(allBut())
  })

  it('gets every datatype that JSON carries back to the bit as JSON', async ({ skip }) => {
    expect(await saw('json round trips', skip)).toEqual(allBut('BF16'))
  })

  it('mixes binary and JSON, tensor by tensor', async ({ skip }) => {
    expect(await saw('json in and binary out and the other way', skip)).toEqual([true, true])
    expect(await saw('mixed inputs in one request', skip)).toEqual([
      [true, false, true],
      [true, false, true],
    ])
  })

  it('sends tensors of width 0, and is refused tensors without rows', async ({ skip }) => {
    expect(await saw('without rows and without width', skip)).toEqual({
      'width 0': true,
      'width 0 of text': true,
      'width 0 as JSON': true,
      'no rows': { status: '400', message: text('holds no rows') },
    })
  })

  it('sends 10 MB, models without a batch, and is told about text that is none', async ({ skip }) => {
    expect(await saw('ten megabytes', skip)).toBe(true)
    expect(await saw('unbatched', skip)).toEqual([true, [16]])
    expect(await saw('bytes that are not text', skip)).toMatchObject({
      status: '400',
      message: text('not valid UTF-8'),
    })
  })

  it('gets the outputs it asks for in that order, its id, and the classes of an output', async ({ skip }) => {
    expect(await saw('outputs in the order asked for', skip)).toEqual({
      'OUTPUT1+OUTPUT0': ['OUTPUT1', 'OUTPUT0'],
      OUTPUT1: ['OUTPUT1'],
      '': ['OUTPUT0', 'OUTPUT1'],
    })
    expect(await saw('request ids', skip)).toEqual({ id: 'my id/1', model: 'simple', version: '1', none: '' })
    const two = { datatype: 'BYTES', shape: [2, 2], first: [text(':1:birch'), text(':2:cedar')] }
    expect(await saw('classification', skip)).toMatchObject({
      binary: two,
      json: two,
      clipped: { shape: [2, 4], first: [text(':1:birch'), text(':2:cedar'), text(':3:fir'), text(':0:ash')] },
    })
  })

  it('compresses both ways by gzip and deflate', async ({ skip }) => {
    const both = ['None', 'gzip', 'deflate'].flatMap((a) => ['None', 'gzip', 'deflate'].map((b) => `${a}/${b}`))
    expect(await saw('compressed requests and responses', skip)).toEqual(each(both))
    expect(await saw('the response is compressed when asked for', skip)).toEqual({
      encoding: 'gzip',
      type: 'application/octet-stream',
      right: true,
    })
  })

  it('pins versions', async ({ skip }) => {
    expect(await saw('versions', skip)).toEqual({
      none: DOUBLED,
      1: PLAIN,
      2: DOUBLED,
      says: '1',
      unknown: { status: '404', message: text('version') },
    })
  })

  it('sends priorities, timeouts and parameters of its own, and is told that there are no sequences', async ({
    skip,
  }) => {
    expect(await saw('priority timeout and own parameters', skip)).toEqual([true, true, true])
    expect(await saw('sequences', skip)).toEqual(['501', '501'])
    expect(await saw('a timeout that passes', skip)).toMatchObject({ status: '504' })
  })

  it('asks many things at once, and hangs up', async ({ skip }) => {
    expect(await saw('many at once', skip)).toEqual({ ids: true, right: true })
    expect(await saw('a client that hangs up', skip)).toEqual(['CancelledError', true])
  })

  it('sends raw binary, and lengths that lie are refused', async ({ skip }) => {
    expect(await saw('raw binary requests', skip)).toEqual({
      numbers: [PLAIN],
      'wrong length': { status: 400, error: expect.any(String) },
    })
    const refused = [400, expect.arrayContaining(['error'])]
    expect(await saw('lengths that lie', skip)).toEqual({
      short: refused,
      long: refused,
      'header beyond the body': refused,
      'header too short': refused,
      'negative header': refused,
      'no number': refused,
    })
  })

  it('is refused with the right status and a sentence', async ({ skip }) => {
    expect(await saw('refusals', skip)).toEqual({
      'unknown model': { status: '404', message: text('Request for unknown model') },
      'wrong shape': { status: '400', message: text('[-1,4]') },
      'wrong datatype': { status: '400', message: text('FP32') },
      'wrong input': { status: '400', message: text('"z"') },
      'missing input': { status: '400', message: text('INPUT1') },
      'unknown output': { status: '400', message: text('"z"') },
      'shared memory': { status: '400', message: text('shared memory') },
    })
  })

  it('reads statistics and configuration', async ({ skip }) => {
    expect(await saw('statistics and configuration', skip)).toEqual({
      name: ['counted_http', '1'],
      inferences: 6,
      executions: 3,
      success: 3,
      took: true,
      batches: [2],
      all: true,
      config: { name: 'simple', max_batch_size: expect.any(Number) },
      inputs: SIMPLE_INPUTS,
      unknown: { status: '404', message: text('unknown model') },
      unknownConfig: { status: '404', message: text('unknown model') },
    })
  })

  it('loads and unloads models', async ({ skip }) => {
    const seen = (await saw('model control', skip)) as { index: number } | undefined
    expect(seen?.index).toBeGreaterThanOrEqual(VERSIONS)
    expect(seen).toMatchObject({
      entry: [{ name: 'control_http', version: '1', state: 'READY' }],
      ready: true,
      'config without form': { message: text('failed to load') },
      max_batch_size: 16,
      unloaded: [false, [{ name: 'control_http', state: 'UNAVAILABLE', reason: 'unloaded' }]],
      'infer unloaded': { status: '404', message: text('unknown model') },
      'loaded again': true,
      'wrong name': { message: text('failed to load') },
      'unload wrong name': { status: expect.stringMatching(/^40[04]$/) },
    })
  })

  it('sends a model with its load', async ({ skip }) => {
    expect(await saw('models sent with the load', skip)).toMatchObject({
      right: true,
      broken: { message: text('failed to load') },
      'old one still serves': true,
      'files without config': { status: '400', message: text('config') },
      'path that climbs': { status: '400' },
      unloaded: false,
    })
  })

  it('is told that there is no shared memory, tracing or log setting', async ({ skip }) => {
    expect(await saw('shared memory and settings', skip)).toMatchObject({
      system: { answered: '[]' },
      cuda: { answered: '[]' },
      register: '501',
      trace: { answered: '{}' },
      log: { answered: '{}' },
      'set trace': '501',
      'set log': '501',
    })
  })

  it('does all of it by asyncio too', async ({ skip }) => {
    expect(await saw('aio client', skip)).toEqual({
      live: true,
      ready: true,
      server: 'headrace',
      wrong: [],
      index: true,
      stats: 'counted_http_aio',
      gzip: true,
      deflate: true,
      max_batch_size: 4,
      unloaded: false,
      unknown: { status: '404', message: text('Request for unknown model') },
    })
  })
})

describe('tritonclient.grpc', LONG, () => {
  const saw = casesOf({
    file: 'triton_grpc.py',
    python: () => commandPath('python3'),
    modules: ['tritonclient.grpc.aio', 'ml_dtypes', 'grpc_health.v1.health_pb2_grpc'],
    args: async () => [server.grpc, modelFile('grpc')],
  })
  const code = (name: string) => `StatusCode.${name}`

  it('finds the server live and ready, and reads metadata', async ({ skip }) => {
    expect(await saw('health and metadata', skip)).toMatchObject({
      live: true,
      ready: true,
      modelReady: true,
      versionReady: true,
      unknownReady: false,
      server: { name: 'headrace', extensions: expect.arrayContaining(['statistics', 'model_repository']) },
      model: {
        name: 'simple',
        versions: ['1'],
        inputs: [
          { name: 'INPUT0', datatype: 'INT32', shape: ['-1', '16'] },
          { name: 'INPUT1', datatype: 'INT32', shape: ['-1', '16'] },
        ],
      },
      unknown: { status: code('NOT_FOUND'), message: text('Request for unknown model') },
    })
  })

  it('finds grpc.health.v1 serving', async ({ skip }) => {
    expect(await saw('grpc health', skip)).toEqual({ server: 1, service: 1, watch: 1, unknown: code('NOT_FOUND') })
  })

  it('gets every datatype back to the bit, raw and typed', async ({ skip }) => {
    expect(await saw('raw round trips', skip)).toEqual(allBut())
    expect(await saw('typed round trips', skip)).toEqual(allBut('FP16', 'BF16'))
  })

  it('is refused contents that are broken', async ({ skip }) => {
    const cases = [
      'mixed',
      'too few elements',
      'wrong field',
      'half precision',
      'INT8 out of range',
      'no contents',
      'short',
      'long',
      'too many',
      'negative dimension',
      'overflow',
      'unknown datatype',
    ]
    expect(await saw('broken contents', skip)).toEqual(
      Object.fromEntries(cases.map((name) => [name, code('INVALID_ARGUMENT')])),
    )
  })

  it('sends tensors of width 0, and is refused tensors without rows', async ({ skip }) => {
    expect(await saw('without rows and without width', skip)).toEqual({
      'width 0': true,
      'width 0 of text': true,
      'no rows': { status: code('INVALID_ARGUMENT'), message: text('holds no rows') },
    })
  })

  it('sends 10 MB, models without a batch, compressed messages, and is told about text that is none', async ({
    skip,
  }) => {
    expect(await saw('ten megabytes', skip)).toBe(true)
    expect(await saw('unbatched', skip)).toEqual([true, [16]])
    expect(await saw('compression', skip)).toEqual([true, true, true])
    expect(await saw('bytes that are not text', skip)).toEqual({
      status: code('INVALID_ARGUMENT'),
      message: text('not valid UTF-8'),
    })
  })

  it('gets the outputs it asks for in that order, its id, and the classes of an output', async ({ skip }) => {
    expect(await saw('outputs in the order asked for', skip)).toEqual({
      'OUTPUT1+OUTPUT0': ['OUTPUT1', 'OUTPUT0'],
      OUTPUT1: ['OUTPUT1'],
      '': ['OUTPUT0', 'OUTPUT1'],
    })
    expect(await saw('request ids', skip)).toEqual({ id: 'my id/1', model: 'simple', version: '1', none: '' })
    expect(await saw('classification', skip)).toEqual({
      datatype: 'BYTES',
      shape: [2, 2],
      first: [text(':1:birch'), text(':2:cedar')],
    })
  })

  it('pins versions', async ({ skip }) => {
    expect(await saw('versions', skip)).toEqual({
      none: DOUBLED,
      1: PLAIN,
      2: DOUBLED,
      says: '1',
      unknown: { status: code('NOT_FOUND'), message: text('version') },
      'no number': { status: code('INVALID_ARGUMENT'), message: text('version') },
    })
  })

  it('sends priorities and parameters of its own, its timeouts hold, and it is told that there are no sequences', async ({
    skip,
  }) => {
    expect(await saw('priority timeout and own parameters', skip)).toEqual([true, true, true])
    expect(await saw('sequences', skip)).toEqual([code('UNIMPLEMENTED'), code('UNIMPLEMENTED')])
    expect(await saw('timeouts', skip)).toEqual({
      'of the client': { status: code('DEADLINE_EXCEEDED'), message: expect.any(String) },
      'of the request': { status: code('DEADLINE_EXCEEDED'), message: expect.any(String) },
    })
  })

  it('asks with callbacks and cancels', async ({ skip }) => {
    expect(await saw('callbacks', skip)).toEqual({
      ids: true,
      right: true,
      error: { status: code('NOT_FOUND'), message: text('Request for unknown model') },
    })
    expect(await saw('cancellation', skip)).toEqual({
      result: true,
      error: { status: code('CANCELLED'), message: expect.any(String) },
      'at once': true,
      afterwards: true,
    })
  })

  it('streams: answers in the order of the requests, an error amid them, deadlines and cancellation', async ({
    skip,
  }) => {
    expect(await saw('streams', skip)).toEqual({
      ids: ['0', '1', '2', '3', '4', '5', '6', '7', 'after'],
      right: true,
      errors: [text('Request for unknown model')],
    })
    expect(await saw('streams that end early', skip)).toEqual({
      late: code('DEADLINE_EXCEEDED'),
      cancelled: code('CANCELLED'),
      afterwards: true,
    })
  })

  it('is refused with the right status and a sentence', async ({ skip }) => {
    const refused = (part: string) => ({ status: code('INVALID_ARGUMENT'), message: text(part) })
    expect(await saw('refusals', skip)).toEqual({
      'unknown model': { status: code('NOT_FOUND'), message: text('Request for unknown model') },
      'wrong shape': refused('[-1,4]'),
      'wrong datatype': refused('FP32'),
      'wrong input': refused('"z"'),
      'missing input': refused('INPUT1'),
      'unknown output': refused('"z"'),
      'shared memory': refused('shared memory'),
    })
  })

  it('reads statistics and configuration', async ({ skip }) => {
    expect(await saw('statistics and configuration', skip)).toEqual({
      name: ['counted_grpc', '1'],
      inferences: 6,
      executions: 3,
      success: 3,
      took: true,
      batches: [2],
      all: true,
      config: ['simple', expect.any(Number)],
      // TYPE_INT32 is 8 in Triton's model_config.proto.
      inputs: [
        ['INPUT0', 8, [16]],
        ['INPUT1', 8, [16]],
      ],
      unknown: { status: code('NOT_FOUND'), message: text('unknown model') },
      unknownConfig: { status: code('NOT_FOUND'), message: text('unknown model') },
    })
  })

  it('loads and unloads models', async ({ skip }) => {
    const seen = (await saw('model control', skip)) as { index: number } | undefined
    expect(seen?.index).toBeGreaterThanOrEqual(VERSIONS)
    expect(seen).toMatchObject({
      entry: [{ name: 'control_grpc', version: '1', state: 'READY' }],
      ready: true,
      'config without form': { message: text('failed to load') },
      max_batch_size: 16,
      unloaded: [false, [{ name: 'control_grpc', state: 'UNAVAILABLE', reason: 'unloaded' }]],
      'infer unloaded': { status: code('NOT_FOUND'), message: text('unknown model') },
      'loaded again': true,
      'wrong name': { message: text('failed to load') },
      'unload wrong name': { status: expect.stringMatching(/NOT_FOUND|INVALID_ARGUMENT/) },
    })
  })

  it('sends a model with its load', async ({ skip }) => {
    expect(await saw('models sent with the load', skip)).toMatchObject({
      right: true,
      broken: { message: text('failed to load') },
      'old one still serves': true,
      'files without config': { status: code('INVALID_ARGUMENT'), message: text('config') },
      unloaded: false,
    })
  })

  it('is told that there is no shared memory, tracing or log setting', async ({ skip }) => {
    expect(await saw('shared memory and settings', skip)).toMatchObject({
      system: { answered: '{}' },
      cuda: { answered: '{}' },
      register: code('UNIMPLEMENTED'),
      trace: { answered: '{}' },
      log: { answered: '{}' },
      'set trace': code('UNIMPLEMENTED'),
      'set log': code('UNIMPLEMENTED'),
    })
  })

  it('does all of it by asyncio too', async ({ skip }) => {
    expect(await saw('aio client', skip)).toEqual({
      live: true,
      ready: true,
      server: 'headrace',
      wrong: [],
      index: true,
      stats: 2,
      max_batch_size: 4,
      unloaded: false,
      unknown: { status: code('NOT_FOUND'), message: text('Request for unknown model') },
      late: code('DEADLINE_EXCEEDED'),
    })
    expect(await saw('aio cancellation', skip)).toEqual(['CancelledError', true])
    expect(await saw('aio streams', skip)).toEqual({
      ids: ['0', '1', '2', '3', '5', '6', '7'],
      errors: [text('Request for unknown model')],
    })
  })
})

describe("KServe's clients", LONG, () => {
  const saw = casesOf({
    file: 'kserve_clients.py',
    python: () => commandPath('python3'),
    modules: ['kserve', 'ml_dtypes'],
    args: async () => [server.url, server.grpc],
  })
  const forms = (names: readonly string[], but: readonly string[]) =>
    each(
      DATATYPES.filter((datatype) => datatype !== 'BF16')
        .flatMap((datatype) => names.map((form) => `${datatype} ${form}`))
        .filter((name) => !but.includes(name)),
    )

  it('REST: finds the server ready in both protocols', async ({ skip }) => {
    expect(await saw('rest health', skip)).toEqual({
      live: true,
      ready: true,
      modelReady: true,
      unknownReady: false,
      'v1 live': true,
      'v1 modelReady': true,
    })
  })

  it('REST: gets every datatype back as binary and as JSON', async ({ skip }) => {
    expect(await saw('rest round trips', skip)).toEqual(forms(['binary', 'json'], ['FP16 json']))
  })

  it('REST: gets its id, and JSON for one output where all others are binary', async ({ skip }) => {
    expect(await saw('rest outputs ids and compression', skip)).toEqual({
      id: 'mine',
      model: 'classes',
      data: true,
      type: 'application/json',
    })
  })

  it('REST: predicts by rows and by columns over V1, and is told that nothing explains', async ({ skip }) => {
    const rows = [DOUBLED, [8, 10, 12, 14]]
    expect(await saw('rest v1 rows and columns', skip)).toEqual([
      { predictions: rows },
      { outputs: rows },
      { type: 'HTTPStatusError', message: text('501') },
      { type: 'HTTPStatusError', message: text('[-1,4]') },
    ])
  })

  it('REST: is refused with a sentence', async ({ skip }) => {
    expect(await saw('rest refusals', skip)).toEqual({
      'unknown model': { type: 'HTTPStatusError', message: text('unknown model') },
      'wrong shape': { type: 'HTTPStatusError', message: text('[-1,4]') },
    })
  })

  it('gRPC: finds the server ready', async ({ skip }) => {
    expect(await saw('grpc health', skip)).toEqual({ live: true, ready: true, modelReady: true })
  })

  it('gRPC: gets every datatype back, raw and typed', async ({ skip }) => {
    expect(await saw('grpc round trips', skip)).toEqual(forms(['raw', 'typed'], ['FP16 typed']))
  })

  it('gRPC: gets its id and version, and is refused with the right status', async ({ skip }) => {
    expect(await saw('grpc ids versions and refusals', skip)).toEqual({
      id: 'mine',
      model: 'versions',
      version: '1',
      right: true,
      'unknown model': { status: 'StatusCode.NOT_FOUND', message: text('unknown model') },
      'wrong shape': { status: 'StatusCode.INVALID_ARGUMENT', message: text('[-1,4]') },
      late: 'StatusCode.DEADLINE_EXCEEDED',
    })
  })

  it('gRPC: loads and unloads with messages of its own', async ({ skip }) => {
    expect(await saw('repository of kserve', skip)).toEqual({
      unloaded: ['control_kserve', true, false],
      loaded: ['control_kserve', true, true],
      unknown: { status: expect.any(String), message: text('failed to load') },
    })
  })
})

describe("MLServer's client", LONG, () => {
  const saw = casesOf({
    file: 'mlserver_client.py',
    python: mlserver,
    modules: ['mlserver', 'ml_dtypes'],
    args: async () => [server.url, server.grpc],
  })
  const NUMBERS = DATATYPES.filter((datatype) => !['FP16', 'BF16', 'BYTES'].includes(datatype))

  it('reads metadata and the index into its types', async ({ skip }) => {
    expect(await saw('metadata', skip)).toEqual({
      server: 'headrace',
      model: ['simple', ['INPUT0', 'INPUT1'], ['OUTPUT0', 'OUTPUT1']],
      index: true,
    })
  })

  it('sends and reads what its codecs write', async ({ skip }) => {
    expect(await saw('numpy codec', skip)).toEqual(each(NUMBERS))
    expect(await saw('request codec and content types', skip)).toEqual([PLAIN, [4, 5, 6, 7]])
    expect(await saw('string codec', skip)).toBe(true)
  })

  it('is refused with errors that its types read', async ({ skip }) => {
    expect(await saw('refusals', skip)).toEqual({
      'unknown model': [404, text('unknown model')],
      'wrong shape': [400, text('[-1,4]')],
    })
  })

  it('speaks gRPC, typed and raw', async ({ skip }) => {
    expect(await saw('grpc typed and raw', skip)).toEqual(
      each(NUMBERS.flatMap((datatype) => [`${datatype} typed`, `${datatype} raw`])),
    )
    expect(await saw('grpc metadata and repository', skip)).toEqual({
      live: true,
      ready: true,
      inputs: [
        ['INPUT0', 'INT32', [-1, 16]],
        ['INPUT1', 'INT32', [-1, 16]],
      ],
      refused: ['StatusCode.NOT_FOUND', text('unknown model')],
    })
  })

  it.for(['json', 'binary'])('`mlserver infer` scores a file, micro-batched, as %s', async (form, { skip }) => {
    const command = commandPath('mlserver')
    if (command === undefined) return skip('mlserver is not installed')
    const folder = tempFolder()
    const items = Array.from({ length: 10 }, (_, i) => ({
      id: `item-${i}`,
      inputs: [{ name: 'x', shape: [1, 4], datatype: 'FP32', data: [i, 1, 2, 3] }],
    }))
    const [input, output] = [join(folder, 'input.jsonl'), join(folder, 'output.jsonl')]
    writeFileSync(input, items.map((item) => `${JSON.stringify(item)}\n`).join(''))
    const flags = form === 'binary' ? ['-b'] : []
    await run(command, [
      'infer',
      '-u',
      server.http,
      '-m',
      'versions',
      '-i',
      input,
      '-o',
      output,
      '-s',
      '4',
      '-w',
      '2',
      ...flags,
    ])
    const answers = readFileSync(output, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; outputs: [{ data: number[] }] })
    expect(Object.fromEntries(answers.map(({ id, outputs }) => [id, outputs[0].data]))).toEqual(
      Object.fromEntries(items.map(({ id }, i) => [id, [2 * i, 2, 4, 6]])),
    )
  })
})
