// A million requests from clients that pipeline, reconnect and hang up at the worst moments, good ones and bad: nothing piles up,
// and every request is accounted for.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { median } from '../bench/support/report.js'
import { madeModels } from '../bench/support/servers.js'
import { identityModel, slowModel } from '../test/support/onnx-models.js'
import type { Proof } from './proof.js'
import { requestBytes } from './support/load/answers.js'
import { type Kind, type MixedLoadResult, mixedLoad } from './support/load/mixed-load.js'
import { copyPlainModels } from './support/plain-models.js'
import { grown, type Metrics, MiB, readMetrics, residentBytes, slope } from './support/process.js'

const shop = fileURLToPath(new URL('../examples/shop/', import.meta.url))
const CONNECTIONS = 48
const PIPELINED = 6
const ABORTS = { inBody: 0.02, inQueue: 0.02, inAnswer: 0.01 }
const FRESH = 0.02

/** Memory counts from here on, when caches, pools and heaps have their size. */
const WARM_SHARE = 0.2
/** What the regression line of resident memory may rise in a million requests. */
const MAX_SLOPE_BYTES = 32 * MiB
/** A short run says little about a slope: then only the growth is bounded. */
const SLOPE_FROM_COUNT = 200_000
const MAX_GROWTH_BYTES = 64 * MiB
/** Objects alive after a garbage collection, at the end over the warm state; a byte lost in each request would be a megabyte. */
const MAX_HELD_GROWTH_BYTES = 8 * MiB
const QUIET_LIMIT_MS = 20_000
/** Those of work that comes and goes by itself. */
const SPARE_TIMERS = 3

interface Alive {
  readonly inFlight: number
  readonly heldBytes: number
  readonly timers: number
  readonly sockets: number
  readonly threads: number
  readonly files: number
  readonly predictions: number
  readonly promises: number
}

export const proof: Proof = {
  claim:
    'A million requests, a twentieth of them from clients that hang up, leak no memory, timers, sockets, threads or promises, and every one is counted.',
  fullCount: 1_000_000,
  unit: 'requests',
  async run({ count, seed, progress }) {
    const models = await madeModels({
      wide: { model: identityModel('FP32', ['rows', 'columns']) },
      slow: { model: slowModel(3) },
    })
    await copyPlainModels(models)
    const dataDir = await mkdtemp(join(tmpdir(), 'headrace-soak-'))
    const child = start(models, dataDir)
    try {
      const { url } = (await nextMessage(child)) as { url: string }
      return await soak(child, url, await kinds(), { count, seed, progress })
    } finally {
      await stop(child)
      await rm(models, { recursive: true })
      await rm(dataDir, { recursive: true, force: true })
    }
  },
}

async function soak(
  child: ChildProcess,
  url: string,
  all: readonly Kind[],
  { count, seed, progress }: { count: number; seed: number; progress: (done: number) => void },
) {
  const pid = child.pid!
  const port = Number(new URL(url).port)
  const common = { port, connections: CONNECTIONS, pipelined: PIPELINED, aborts: ABORTS, fresh: FRESH, kinds: all }
  // Everything that is made once is made now: threads, the first large reply, the code of each protocol.
  await mixedLoad({ ...common, count: Math.min(5000, count), seed: seed + 1 }, () => {})
  const idle = await quiet(child)
  const before = await readMetrics(url)
  const memory: [number, number][] = []
  let warm: Promise<Alive> | undefined
  const startedMs = performance.now()
  const result = await mixedLoad({ ...common, count, seed }, (sent) => {
    progress(sent)
    if (sent < count * WARM_SHARE) return
    warm ??= alive(child)
    memory.push([sent, residentBytes(pid)])
  })
  const seconds = (performance.now() - startedMs) / 1000
  const atWarm = await warm
  const end = await quiet(child, idle.timers + SPARE_TIMERS)
  const after = await readMetrics(url)
  const failures = [...result.failures]
  const risePerMillion = slope(memory) * 1e6
  const growthBytes = (memory.at(-1)?.[1] ?? 0) - (memory[0]?.[1] ?? 0)
  if (count >= SLOPE_FROM_COUNT && risePerMillion > MAX_SLOPE_BYTES)
    failures.push(`resident memory rises by ${mib(risePerMillion)} MiB in a million requests`)
  if (growthBytes > MAX_GROWTH_BYTES) failures.push(`resident memory grew by ${mib(growthBytes)} MiB after the warm-up`)
  const heldGrowth = end.heldBytes - (atWarm ?? idle).heldBytes
  if (heldGrowth > MAX_HELD_GROWTH_BYTES) failures.push(`${mib(heldGrowth)} MiB more are alive than after the warm-up`)
  failures.push(...leaks(idle, end), ...account(result, before, after))
  const { aborted } = result
  return {
    failures,
    figures: {
      requests: result.sent,
      'requests/s': Math.round(result.sent / seconds),
      connections: result.connections,
      'cut off in the body': aborted.inBody,
      'cut off in the queue': aborted.inQueue,
      'cut off in the answer': aborted.inAnswer,
      'answers 200': result.answered['ok'] ?? 0,
      'answers refused': Object.entries(result.answered).reduce((sum, [code, n]) => sum + (code === 'ok' ? 0 : n), 0),
      'cancelled in the queue': grown(before, after, /^ml_inference_calls_total\{.*SERVING_CANCELLED/),
      'RSS at warm, MiB': mib(memory[0]?.[1] ?? 0),
      'RSS at end, MiB': mib(memory.at(-1)?.[1] ?? 0),
      'RSS in fifths of the rest, MiB': fifths(memory.map(([, bytes]) => bytes)),
      'RSS slope, MiB per million requests': mib(risePerMillion),
      'alive after collection, growth MiB': mib(heldGrowth),
      'timers, idle before and after': `${idle.timers} ${end.timers}`,
      'sockets, idle before and after': `${idle.sockets} ${end.sockets}`,
      'threads, idle before and after': `${idle.threads} ${end.threads}`,
      'files, idle before and after': `${idle.files} ${end.files}`,
      'promises, idle before and after': `${idle.promises} ${end.promises}`,
      'predictions left': end.predictions,
      'log records dropped': grown(before, after, /^ml_log_dropped_total\{.*record/),
    },
  }
}

/** What an idle server has that it did not have before. */
function leaks(idle: Alive, end: Alive): string[] {
  const failures: string[] = []
  const more = (what: string, now: number, then: number, slack: number) => {
    if (now > then + slack) failures.push(`${now} ${what} are left, ${then} were there before`)
  }
  more('requests in flight', end.inFlight, 0, 0)
  more('predictions', end.predictions, 0, 0)
  more('sockets', end.sockets, idle.sockets, 0)
  more('timers', end.timers, idle.timers, SPARE_TIMERS)
  more('threads', end.threads, idle.threads, 1)
  more('files', end.files, idle.files, 3)
  more('promises', end.promises, idle.promises, 100)
  return failures
}

/** The server's counters hold every answer that was seen, and at most those that nobody stayed for on top. */
function account({ answered, unseen }: MixedLoadResult, before: Metrics, after: Metrics): string[] {
  const failures: string[] = []
  const check = (what: string, counted: number, seen: number) => {
    if (counted < seen || counted > seen + unseen)
      failures.push(`the server counted ${counted} ${what}; ${seen} answers were seen and ${unseen} requests cut off`)
  }
  for (const [code, seen] of Object.entries(answered)) {
    if (code === 'ok') check('answered predictions', grown(before, after, /^ml_predictions_total\{.*status="ok"/), seen)
    else check(code, grown(before, after, new RegExp(`^ml_errors_total\\{code="${code}"`)), seen)
  }
  return failures
}

/** The median of each fifth: a leak rises in all of them. */
function fifths(values: readonly number[]): string {
  const size = Math.ceil(values.length / 5)
  const parts = Array.from({ length: 5 }, (_, part) => values.slice(part * size, (part + 1) * size))
  return parts.map((part) => mib(median(part))).join(' ')
}

const mib = (bytes: number): number => Math.round((bytes / MiB) * 10) / 10

/** Every protocol, small and large, good and bad. */
async function kinds(): Promise<Kind[]> {
  const rows = async (model: string) =>
    (JSON.parse(await readFile(join(shop, `samples/${model}.json`), 'utf8')) as { rows: Record<string, unknown>[] })
      .rows
  const [fraud, cancer, intent] = await Promise.all([rows('fraud'), rows('breast-cancer'), rows('purchase-intent')])
  const tensor = (row: Record<string, unknown>) => ({
    name: 'features',
    shape: [1, Object.keys(row).length],
    datatype: 'FP32',
    data: Object.values(row),
  })
  const columns = Object.entries(fraud[0]!).map(([name, value]) => ({
    name,
    shape: [1, 1],
    datatype: typeof value === 'string' ? 'BYTES' : 'FP32',
    data: [value],
  }))
  const x = (columns: number) => [
    { name: 'x', shape: [1, columns], datatype: 'FP32', data: Array.from({ length: columns }, (_, i) => i / 7) },
  ]
  const good = (name: string, weight: number, path: string, body: unknown): Kind => ({
    name,
    weight,
    request: requestBytes(path, JSON.stringify(body)),
    expected: { status: 200 },
  })
  const bad = (name: string, path: string, body: string, status: number, code: string): Kind => ({
    name,
    weight: 0.5,
    request: requestBytes(path, body),
    expected: { status, code },
  })
  return [
    good('oip', 40, '/v2/models/breast-cancer/infer', { inputs: [tensor(cancer[0]!)] }),
    good('oip columns', 10, '/v2/models/fraud/infer', { inputs: columns, parameters: { unit: 'u' } }),
    good('oip pinned', 5, '/v2/models/fraud/versions/1/infer', { inputs: columns }),
    good('kserve', 15, '/v1/models/purchase-intent:predict', { instances: intent.map((row) => Object.values(row)) }),
    good('native', 15, '/api/v1/predict/fraud', { inputs: fraud[0], unit: 'u' }),
    good('large answer', 0.3, '/v2/models/wide/infer', { inputs: x(4000) }),
    // Read, parsed and written by the parse thread.
    good('large body', 0.02, '/v2/models/wide/infer', { inputs: x(20_000) }),
    good('slow model', 0.5, '/v2/models/slow/infer', { inputs: x(4) }),
    bad('no JSON', '/v2/models/fraud/infer', '{"inputs": [', 400, 'TENSOR_JSON_INVALID'),
    bad(
      'wrong shape',
      '/v2/models/wide/infer',
      JSON.stringify({ inputs: [{ ...x(4)[0], shape: [4] }] }),
      400,
      'TENSOR_SHAPE_MISMATCH',
    ),
    bad('nobody', '/v2/models/nobody/infer', '{}', 404, 'PATH_ENDPOINT_NOT_FOUND'),
    bad('no such version', '/v2/models/fraud/versions/99/infer', '{}', 404, 'SERVING_VERSION_NOT_FOUND'),
  ]
}

function start(models: string, dataDir: string): ChildProcess {
  return fork(fileURLToPath(new URL('./support/soak/server.mjs', import.meta.url)), [models], {
    execArgv: ['--expose-gc'],
    env: {
      ...process.env,
      HEADRACE_STORE_DATA_DIR: dataDir,
      HEADRACE_SERVER_PORT: '0',
      HEADRACE_SERVER_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
}

function nextMessage(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`the server ended with status ${code}`))
    child.once('exit', ended)
    child.once('message', (message) => {
      child.off('exit', ended)
      resolve(message)
    })
  })
}

function alive(child: ChildProcess): Promise<Alive> {
  child.send('alive')
  return nextMessage(child) as Promise<Alive>
}

/**
 * What is alive when the last clients are gone; asked again until it no longer changes, for at most some seconds. A deadline's timer outlives
 * its request by up to ten of them: `timers` are waited for.
 */
async function quiet(child: ChildProcess, timers = Number.POSITIVE_INFINITY): Promise<Alive> {
  const untilMs = performance.now() + QUIET_LIMIT_MS
  let last = await alive(child)
  for (;;) {
    await sleep(1000)
    const now = await alive(child)
    const isQuiet =
      now.inFlight === 0 &&
      now.sockets === last.sockets &&
      now.predictions === 0 &&
      now.timers === last.timers &&
      now.timers <= timers
    if (isQuiet || performance.now() > untilMs) return now
    last = now
  }
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
  })
}
