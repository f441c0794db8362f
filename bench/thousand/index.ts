import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/core/index.js'
import { mlpModel } from '../../test/support/onnx-models.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { madeModels, readMetric, type Subject, startHeadrace } from '../support/servers.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '20' },
    models: { type: 'string', default: '1000' },
    'budget-mb': { type: 'string', default: '1024' },
  },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
const count = Number(values.models)
const HOT = 20
const HOT_PER_SECOND = 100
const COLD_PER_SECOND = 10
const INPUTS = 256
/** Spreads the popular ones of the cold models among those that are loaded and those that are not. */
const STRIDE = 389

const nameOf = (number: number) => `model-${String(number).padStart(4, '0')}`
const body = JSON.stringify({
  inputs: [
    { name: 'x', shape: [1, INPUTS], datatype: 'FP32', data: Array.from({ length: INPUTS }, (_, i) => i / INPUTS) },
  ],
})
const made: Record<string, { model: Uint8Array }> = {}
for (let i = 0; i < count; i++)
  made[nameOf(i)] = { model: mlpModel({ inputs: INPUTS, hidden: [512, 230], outputs: 4, seed: i }) }
const models = await madeModels(made)
// Files that changed a moment ago are read again at the next start.
await new Promise((resolve) => setTimeout(resolve, 2_500))
const folder = await mkdtemp(path.join(tmpdir(), 'headrace-thousand-'))
const config = {
  models: { folder: models },
  serving: { pool: { load: 'lazy', budgetMb: Number(values['budget-mb']) } },
}
await writeFile(path.join(folder, 'headrace.config.mjs'), `export default ${JSON.stringify(config)}\n`)

/** Draws from `size` numbers by Zipf's law. */
function zipf(size: number, seed: number): () => number {
  const random = seededRandom(seed)
  const sums: number[] = []
  let sum = 0
  for (let i = 1; i <= size; i++) {
    sum += 1 / i
    sums.push(sum)
  }
  return () => {
    const draw = random.next() * sum
    return sums.findIndex((limit) => draw <= limit)
  }
}

async function call({ url }: Subject, model: number): Promise<void> {
  const reply = await fetch(`${url}/v2/models/${nameOf(model)}/infer`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body,
  })
  const text = await reply.text()
  if (reply.status !== 200) throw new Error(`${nameOf(model)} answered ${reply.status}: ${text.slice(0, 200)}`)
}

/** An open loop: calls leave at fixed times. */
function callsAt(
  subject: Subject,
  ratePerSecond: number,
  draw: () => number,
  latencies: RecordableHistogram,
): Promise<void> {
  const total = Math.floor((durationMs / 1000) * ratePerSecond)
  const startMs = performance.now()
  const pending: Promise<void>[] = []
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      for (;;) {
        const dueMs = startMs + (pending.length * 1000) / ratePerSecond
        if (pending.length === total || dueMs > performance.now()) break
        pending.push(
          call(subject, draw()).then(() =>
            latencies.record(Math.max(1, Math.round((performance.now() - dueMs) * 1e6))),
          ),
        )
      }
      if (pending.length < total) return
      clearInterval(timer)
      Promise.all(pending).then(() => resolve(), reject)
    }, 1)
  })
}

const ms = (latencies: RecordableHistogram, percentile: number) => latencies.percentile(percentile) / 1e6

async function hotFigures(subject: Subject, withCold: boolean, round: number): Promise<Figures> {
  const before = await counts(subject)
  const hot = createHistogram()
  const cold = createHistogram()
  const drawCold = zipf(count - HOT, 1_000 + round)
  await Promise.all([
    callsAt(subject, HOT_PER_SECOND, zipf(HOT, round), hot),
    ...(withCold ? [callsAt(subject, COLD_PER_SECOND, () => HOT + ((drawCold() * STRIDE) % (count - HOT)), cold)] : []),
  ])
  const after = await counts(subject)
  return {
    hotP50Ms: ms(hot, 50),
    hotP99Ms: ms(hot, 99),
    coldP50Ms: ms(cold, 50),
    coldP99Ms: ms(cold, 99),
    loads: after.loads - before.loads,
    evictions: after.evictions - before.evictions,
  }
}

async function counts(subject: Subject): Promise<{ loads: number; evictions: number }> {
  const [loads, evictions] = await Promise.all([
    readMetric(subject, 'ml_pool_loads_total'),
    readMetric(subject, 'ml_pool_evictions_total'),
  ])
  return { loads, evictions }
}

async function started(environment: NodeJS.ProcessEnv): Promise<{ subject: Subject; readyMs: number }> {
  const startMs = performance.now()
  const subject = await startHeadrace(folder, environment)
  return { subject, readyMs: performance.now() - startMs }
}

/** Every model once, two at a time; the calls of the last quarter each took another's place. */
async function swapIn(subject: Subject): Promise<Figures> {
  const before = await counts(subject)
  const latencies = createHistogram()
  let next = count - 1
  const worker = async () => {
    for (let model = next--; model >= 0; model = next--) {
      const startMs = performance.now()
      await call(subject, model)
      if (model < count / 4) latencies.record(Math.max(1, Math.round((performance.now() - startMs) * 1e6)))
    }
  }
  await Promise.all([worker(), worker()])
  const after = await counts(subject)
  const loadSeconds = await readMetric(subject, 'ml_pool_load_seconds_sum')
  return {
    swapInP50Ms: ms(latencies, 50),
    swapInP99Ms: ms(latencies, 99),
    loadMs: (loadSeconds * 1000) / after.loads,
    loads: after.loads - before.loads,
    evictions: after.evictions - before.evictions,
    fit: after.loads - after.evictions,
  }
}

/** Starts and swap-ins are those of the round's server, and stand in both columns. */
const machine = describeMachine()
const results: Record<string, Figures[]> = { hot: [], 'hot with cold traffic': [] }
for (let round = 0; round < rounds; round++) {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'headrace-thousand-data-'))
  const environment = { HEADRACE_STORE_DATA_DIR: dataDir }
  const first = await started(environment)
  await first.subject.stop()
  const { subject, readyMs } = await started(environment)
  try {
    const swaps = await swapIn(subject)
    // The hot models are at home, and their code is warm.
    await hotFigures(subject, false, round)
    const about = { firstReadyMs: first.readyMs, readyMs, ...prefixed('swap ', swaps) }
    results['hot']!.push({ ...about, ...(await hotFigures(subject, false, round)) })
    results['hot with cold traffic']!.push({ ...about, ...(await hotFigures(subject, true, round)) })
  } finally {
    await subject.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}
await rm(models, { recursive: true })
await rm(folder, { recursive: true })
publish(
  makeReport('thousand', 'What do 980 rarely called models do to 20 that are called all the time?', machine, results),
)

function prefixed(prefix: string, figures: Figures): Figures {
  return Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [name.startsWith('swap') ? name : `${prefix}${name}`, value]),
  )
}
