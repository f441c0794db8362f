// A session thread: loads, runs and releases sessions as the main thread asks. It is never terminated, because that would abort
// the whole process if a run were under way; it ends by itself when it is told to, between runs.
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, normalize } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parentPort } from 'node:worker_threads'
import type { Signature } from '../../tensor/index.js'
import { collectAfterLoad } from './collect-garbage.js'
import { fail, OnnxFailure, reasonOf } from './failure.js'
import { GraphCache, LEAST_NODES } from './graph-cache.js'
import type { Answer, Envelope, LoadedModel, LoadRequest, Reply, Request } from './messages.js'
import { INLINE_CREATE_MS } from './placement.js'
import type { PreparedModel } from './prepare-model.js'
import { usesGpu, withProviders } from './providers.js'
import { loadRuntime, OnnxSession, runtimeVersion, type SessionOptions } from './session.js'
import { transferable } from './transfer.js'

const port = parentPort!
const sessions = new Map<number, OnnxSession>()
/** What sessions were opened from, while their place is not settled. */
const bytesOf = new Map<number, Uint8Array>()
let lastSession = 0

port.on('message', ({ id, request }: Envelope) => {
  handle(request).then(
    (answer) => {
      const transfer: ArrayBuffer[] = []
      if (answer.tensors) answer.tensors = transferable(answer.tensors, transfer, true)
      if (answer.bytes) transfer.push(answer.bytes.buffer as ArrayBuffer)
      reply({ id, answer, failure: undefined }, transfer)
    },
    (error: unknown) => reply({ id, answer: undefined, failure: asFailure(error).failure }),
  )
})

function reply(message: Reply, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer)
}

async function handle(request: Request): Promise<Answer> {
  switch (request.kind) {
    case 'run':
      return { tensors: session(request.session).run(request.inputs, request.outputs) }
    case 'prepare':
      await Promise.all([importLoading(), loadRuntime()])
      return {}
    case 'load':
      return { loaded: await load(request) }
    case 'settle':
      return settle(request.session, request.stays)
    case 'open':
      collectAfterLoad(request.options.bytes.length)
      return { session: add(await OnnxSession.create(request.options)) }
    case 'release':
      await release(request.session)
      return {}
    case 'close':
      for (const number of [...sessions.keys()]) await release(number)
      // Nothing else holds the thread: it ends once the reply is sent.
      setImmediate(() => port.close())
      return {}
    case 'die':
      process.exit(1)
  }
}

/** Only threads that load need this, and it takes 60 ms to import. */
function importLoading() {
  return Promise.all([import('./prepare-model.js'), import('./probe.js')])
}

async function load(request: LoadRequest): Promise<LoadedModel> {
  const file = await read(request.file)
  verify(file, request.digest)
  const [{ prepareModel }, { probe }] = await importLoading()
  const model = prepareModel(file)
  const folder = dirname(request.file)
  let weightBytes = file.length - model.treeBytes
  for (const location of model.externalFiles) weightBytes += await sideFileBytes(folder, location)

  const layout = {
    folder,
    inputs: model.values.inputs.map(({ sessionName, datatype }) => ({ sessionName, datatype })),
    outputs: model.values.outputs.map(({ sessionName, datatype }) => ({ sessionName, datatype })),
  }
  const { opened, providers, passedOver } = await withProviders(request.providers, (providers) =>
    openCached({ ...layout, providers, bytes: model.bytes }, model, request),
  )
  const { created, createMs, options } = opened
  try {
    const probed = await probe(created, model, request)
    const number = add(created)
    bytesOf.set(number, options.bytes)
    const memoryBytes = estimateMemoryBytes(weightBytes, model.treeBytes)
    const isBounded = hasFixedSizes(probed.signature) && (probed.signature.batchAxis === null || request.isBatched)
    const { bytes: _, ...opensLike } = options
    const found = { labels: model.labels, createMs, memoryBytes, isBounded, providers, passedOver, ...probed }
    return { session: number, layout: opensLike, ...found }
  } catch (error) {
    await created.release()
    throw error
  }
}

/** Whether nothing in the inputs' shapes is open but the batch. */
function hasFixedSizes({ inputs, batchAxis }: Signature): boolean {
  return inputs.every(({ shape }) => !shape.includes(-1, batchAxis === 0 ? 1 : 0))
}

async function read(file: string): Promise<Uint8Array> {
  try {
    const content = await readFile(file)
    // A Buffer may share its memory with others and could then not be handed over.
    const isAlone = content.byteLength === content.buffer.byteLength
    return isAlone ? new Uint8Array(content.buffer) : new Uint8Array(content)
  } catch (error) {
    throw fail('FILE_UNREADABLE', { file, reason: reasonOf(error) })
  }
}

function verify(file: Uint8Array, expected: string): void {
  const actual = `sha256:${createHash('sha256').update(file).digest('hex')}`
  if (actual !== expected) throw fail('DIGEST_MISMATCH', { expected, actual, sizeBytes: file.length })
}

/** The size of a side file with weights. A model must not make the server read files outside its own folder. */
async function sideFileBytes(folder: string, location: string): Promise<number> {
  const path = normalize(location)
  if (location === '' || isAbsolute(path) || path === '..' || /^\.\.[\\/]/.test(path)) {
    throw fail('EXTERNAL_DATA_INVALID', { location, reason: 'that path does not lie in the folder of the model file' })
  }
  try {
    return (await stat(join(folder, path))).size
  } catch (error) {
    throw fail('EXTERNAL_DATA_INVALID', { location, reason: reasonOf(error) })
  }
}

/**
 * The resident memory of a session, which the process cannot tell apart from everything else's. Measured on Linux x64
 * (2026-11-22): 1.1 to 2 times the weights (1, 10 and 100 MB), 10 to 12 times the tree ensembles (6 and 60 MB), 0.5 MB at least.
 */
function estimateMemoryBytes(weightBytes: number, treeBytes: number): number {
  return Math.round(500_000 + 1.5 * weightBytes + 11 * treeBytes)
}

/**
 * The first session of a process pays 90 ms for the runtime's own start (2026-11-22), and a busy machine adds pauses; neither says
 * anything about the model. A small one that seems slow is created again, and the best time counts.
 */
async function create(options: SessionOptions): Promise<{ created: OnnxSession; createMs: number }> {
  let best = await timed(options)
  for (let again = 0; again < 2 && best.createMs > INLINE_CREATE_MS && options.bytes.length < 1_000_000; again++) {
    const next = await timed(options)
    await best.created.release()
    best = { created: next.created, createMs: Math.min(best.createMs, next.createMs) }
  }
  return best
}

async function timed(options: SessionOptions): Promise<{ created: OnnxSession; createMs: number }> {
  const start = performance.now()
  const created = await OnnxSession.create(options)
  return { created, createMs: performance.now() - start }
}

/** A session, and what another one like it is opened with. */
interface Opened {
  readonly created: OnnxSession
  readonly createMs: number
  readonly options: SessionOptions
}

/** From the optimised graph that an earlier load wrote, or else from the model, writing it. */
async function openCached(options: SessionOptions, model: PreparedModel, request: LoadRequest): Promise<Opened> {
  const { graphCache, digest, nowMs } = request
  const providers = options.providers ?? []
  // A GPU's compiled parts cannot be written, and weights in side files would be looked for beside the graph.
  const mayKeep = model.nodes >= LEAST_NODES && model.externalFiles.length === 0 && !usesGpu(providers)
  if (!graphCache || !mayKeep) return { ...(await create(options)), options }
  const cache = new GraphCache(graphCache, nowMs)
  const key = await cache.key(digest, await runtimeVersion(), providers)
  const graph = await cache.read(key)
  if (graph) {
    const optimized = { ...options, bytes: graph, isOptimized: true }
    const found = await timed(optimized).catch(() => cache.drop(key))
    if (found) return { ...found, options: optimized }
  }
  return { ...(await createAndKeep(options, cache, key)), options }
}

/** A graph that cannot be kept (a full disk) is no reason not to serve. */
async function createAndKeep(
  options: SessionOptions,
  cache: GraphCache,
  key: string,
): Promise<{ created: OnnxSession; createMs: number }> {
  const saveTo = await cache.reserve().catch(() => undefined)
  if (saveTo === undefined) return create(options)
  try {
    const made = await timed({ ...options, saveTo }).catch(() => create(options))
    await cache.keep(key, saveTo).catch(() => undefined)
    return made
  } finally {
    await cache.discard(saveTo).catch(() => undefined)
  }
}

async function settle(number: number, stays: boolean): Promise<Answer> {
  const bytes = bytesOf.get(number)
  bytesOf.delete(number)
  collectAfterLoad(bytes?.length ?? 0)
  if (stays) return {}
  await release(number)
  return bytes ? { bytes } : {}
}

function add(created: OnnxSession): number {
  sessions.set(++lastSession, created)
  return lastSession
}

function session(number: number): OnnxSession {
  const found = sessions.get(number)
  if (!found) throw new Error(`no session ${number} in this thread`)
  return found
}

async function release(number: number): Promise<void> {
  const found = session(number)
  sessions.delete(number)
  await found.release()
}

function asFailure(error: unknown): OnnxFailure {
  return error instanceof OnnxFailure ? error : fail('RUN_FAILED', { reason: reasonOf(error) })
}
