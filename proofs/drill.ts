// Every row of the design's failure table that a serving server can meet: broken on purpose under load, and timed. Detected: from the
// fault to the first answer by the new behaviour. Recovered: from the end of the fault until answers are as before, for good.
import { readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../bench/support/report.js'
import { buildModel, linearModel, node, value } from '../test/support/onnx-models.js'
import { redisMissing, startRedis } from '../test/support/redis.js'
import type { Proof } from './proof.js'
import { bodyFor, type Seen, Stage, User } from './support/drill/stage.js'

/** What a drill measured, milliseconds; undefined: there is nothing to detect, or to recover. */
interface Timing {
  readonly detectedMs: number | undefined
  readonly recoveredMs: number | undefined
  /** Of the users of the endpoint, from the fault to the end. */
  readonly seen: readonly Seen[]
}

interface Drill {
  readonly failure: string
  /** For a person: what callers and operators see. */
  readonly sees: string
  /** The smallest share of callers that must get an answer, 0 to 1. */
  readonly answered: number
  /** Flags and environment of the server it needs; default one process. */
  readonly server?: readonly string[]
  readonly usesRedis?: true
  run(stage: Stage): Promise<Timing>
}

/** The fault is kept up for so long after it was detected. */
const HOLD_MS = 700

const fromV2 = ({ value }: Seen): boolean => value === 20
const fromV1 = ({ value }: Seen): boolean => value === 10

/** Breaks a version under a fallback. */
function guarded(fault: string, body: object, isNew: (seen: Seen) => boolean): Drill['run'] {
  return async (stage) => {
    const user = new User(stage, 'guarded')
    await user.steady(performance.now(), 'the usual answer', fromV2)
    const brokenMs = performance.now()
    await stage.inject(fault, body)
    const detectedMs = await user.first(brokenMs, 'the answer of a stand-in', isNew)
    await sleep(HOLD_MS)
    const healedMs = performance.now()
    await stage.heal()
    const recoveredMs = await user.steady(healedMs, 'the usual answer', fromV2)
    await user.end()
    return { detectedMs, recoveredMs, seen: user.seen }
  }
}

/** Breaks what servers share answers through. */
function withoutRedis(fault: object): Drill['run'] {
  const circuit = 'ml_cache_shared_breaker{tier="redis"}'
  return async (stage) => {
    const user = new User(stage, 'cached', 10, true)
    const isUsual = ({ status }: Seen) => status === 200
    await user.steady(performance.now(), 'the usual answer', isUsual)
    const brokenMs = performance.now()
    await stage.inject('redis', fault)
    const detectedMs = await stage.until(brokenMs, 'an open circuit', async () => (await stage.metric(circuit)) === 2)
    await sleep(HOLD_MS)
    const healedMs = performance.now()
    await stage.heal()
    const recoveredMs = await stage.until(healedMs, 'a closed circuit', async () => (await stage.metric(circuit)) === 0)
    await user.end()
    return { detectedMs, recoveredMs, seen: user.seen }
  }
}

/** A thousand identical requests while the model is slow: who is not the first waits for the first one's answer. */
async function stampede(stage: Stage): Promise<Timing> {
  const runs = 'ml_batch_size_sum{model="echo",version="1"}'
  await stage.inject('delay', { model: 'echo', version: 1, ms: 1000 })
  const before = await stage.metric(runs)
  const body = bodyFor(performance.now())
  const seen = await Promise.all(
    Array.from({ length: STAMPEDE }, async (): Promise<Seen> => {
      const sentMs = performance.now()
      const headers = { 'Content-Type': 'application/json' }
      const response = await fetch(`${stage.url}/v2/models/cached/infer`, { method: 'POST', headers, body })
      await response.arrayBuffer()
      return { sentMs, endedMs: performance.now(), status: response.status, code: undefined, value: undefined }
    }),
  )
  await stage.heal()
  const rows = (await stage.metric(runs)) - before
  if (rows !== 1) throw new Error(`${STAMPEDE} identical requests made the model run ${rows} rows`)
  return { detectedMs: undefined, recoveredMs: undefined, seen }
}

const STAMPEDE = 1000

const drills: readonly Drill[] = [
  {
    failure: 'A model run fails',
    sees: 'the previous version answers, flagged `fallback`',
    answered: 1,
    run: guarded('error', { model: 'echo', version: 2 }, fromV1),
  },
  {
    failure: 'A model run times out',
    sees: 'the previous version answers once the time of the first arm is over, flagged `fallback`',
    answered: 1,
    run: guarded('delay', { model: 'echo', version: 2, ms: 5000 }, fromV1),
  },
  {
    failure: 'Every version fails',
    sees: 'the default of the route answers, flagged `fallback`',
    answered: 1,
    run: guarded('error', { model: 'echo' }, ({ value }) => value === 0),
  },
  {
    failure: 'A version keeps failing',
    sees: 'its circuit opens and it is not asked any more; one probe at a time, and it closes when one is answered',
    answered: 1,
    async run(stage) {
      const user = new User(stage, 'guarded')
      const state = 'ml_breaker_state{model="echo",version="2"}'
      await user.steady(performance.now(), 'the usual answer', fromV2)
      const brokenMs = performance.now()
      await stage.inject('error', { model: 'echo', version: 2 })
      const detectedMs = await stage.until(brokenMs, 'an open circuit', async () => (await stage.metric(state)) === 2)
      await sleep(HOLD_MS)
      const healedMs = performance.now()
      await stage.heal()
      const recoveredMs = await stage.until(healedMs, 'a closed circuit', async () => (await stage.metric(state)) === 0)
      await user.steady(healedMs, 'the usual answer', fromV2)
      await user.end()
      return { detectedMs, recoveredMs, seen: user.seen }
    },
  },
  {
    failure: 'A run hangs, with a stand-in',
    sees: 'the previous version answers; the hung one counts as not ready until its run comes back',
    answered: 1,
    run: guarded('hang', { model: 'echo', version: 2 }, fromV1),
  },
  {
    failure: 'A run hangs, without a stand-in',
    sees: 'its callers get 504 at their deadline, then 503 with Retry-After at once; callers of other models notice nothing',
    // Those of the model that hangs have nobody else to ask.
    answered: 0,
    async run(stage) {
      const user = new User(stage, 'alone')
      const other = new User(stage, 'busy')
      await user.steady(performance.now(), 'the usual answer', fromV2)
      const brokenMs = performance.now()
      await stage.inject('hang', { model: 'stuck', version: 1 })
      const detectedMs = await user.first(brokenMs, 'a refusal', ({ code }) => code === 'SERVING_MODEL_UNREADY')
      await sleep(HOLD_MS)
      const healedMs = performance.now()
      await stage.heal()
      const recoveredMs = await user.steady(healedMs, 'the usual answer', fromV2)
      await Promise.all([user.end(), other.end()])
      const harmed = other.seen.filter(({ status }) => status !== 200).length
      if (harmed > 0) throw new Error(`${harmed} callers of another model were not answered`)
      return { detectedMs, recoveredMs, seen: other.seen }
    },
  },
  {
    failure: 'A second hang moves the model to a process of its own',
    sees: 'its callers get 504, then 503 while it moves; then it answers from its process, where another hang would be killed',
    // Those of the model that hangs have nobody else to ask.
    answered: 0,
    async run(stage) {
      const user = new User(stage, 'moving')
      const other = new User(stage, 'busy')
      const moves = 'ml_moved_to_process_total{model="moving",version="1"}'
      await user.steady(performance.now(), 'the usual answer', fromV2)
      const brokenMs = performance.now()
      await stage.inject('hang', { model: 'moving', version: 1 })
      const detectedMs = await stage.until(brokenMs, 'a move', async () => (await stage.metric(moves)) === 1)
      // Nobody heals it.
      const recoveredMs = await user.steady(brokenMs, 'the usual answer', fromV2)
      await stage.heal()
      await Promise.all([user.end(), other.end()])
      return { detectedMs, recoveredMs, seen: other.seen }
    },
  },
  {
    failure: 'The process that runs a model crashes',
    sees: 'the stand-in answers while another process is started; the server and every other model notice nothing',
    answered: 1,
    async run(stage) {
      const user = new User(stage, 'isolated')
      await user.steady(performance.now(), 'the usual answer', fromV2)
      const brokenMs = performance.now()
      await stage.inject('kill/thread', { model: 'apart', version: 1 })
      const detectedMs = await user.first(brokenMs, 'the answer of a stand-in', fromV1)
      const recoveredMs = await user.steady(brokenMs, 'the usual answer', fromV2)
      await user.end()
      return { detectedMs, recoveredMs, seen: user.seen }
    },
  },
  {
    failure: 'The thread that runs a model dies',
    sees: 'the previous version answers while the model is loaded again in another thread',
    answered: 1,
    async run(stage) {
      const user = new User(stage, 'guarded')
      await user.steady(performance.now(), 'the usual answer', fromV2)
      const brokenMs = performance.now()
      await stage.inject('kill/thread', { model: 'echo', version: 2 })
      const detectedMs = await user.first(brokenMs, 'the answer of a stand-in', (seen) => !fromV2(seen))
      const recoveredMs = await user.steady(brokenMs, 'the usual answer', fromV2)
      await user.end()
      return { detectedMs, recoveredMs, seen: user.seen }
    },
  },
  {
    failure: 'A corrupt or half-written version',
    sees: 'it is refused at load with the reason; the version before it goes on answering',
    answered: 1,
    async run(stage) {
      const user = new User(stage, 'echo')
      await user.steady(performance.now(), 'the usual answer', fromV2)
      const brokenMs = performance.now()
      const whole = linearModel([3])
      const half = await stage.addModel('echo', 4, whole.subarray(0, whole.length >> 1))
      const folder = await stage.addModel('echo', 3, corruptModel())
      interface Models {
        readonly models: readonly { name: string; versions: readonly { version: number; state: string }[] }[]
      }
      const stateOf3 = async () => {
        const { models } = await stage.call<Models>('GET', '/api/v1/models')
        const echo = models.find(({ name }) => name === 'echo')!
        return echo.versions.find(({ version }) => version === 3)?.state
      }
      const detectedMs = await stage.until(brokenMs, 'the refusal', async () => (await stateOf3()) === 'failed')
      await sleep(HOLD_MS)
      await Promise.all([half, folder].map((version) => rm(version, { recursive: true })))
      const healedMs = performance.now()
      const recoveredMs = await stage.until(healedMs, 'its end', async () => (await stateOf3()) === undefined)
      await user.end()
      if (user.seen.some(({ value }) => value === 30)) throw new Error('the broken version answered')
      return { detectedMs, recoveredMs, seen: user.seen }
    },
  },
  {
    failure: 'Overload',
    sees: '429 with Retry-After for what would not be answered in time; the rest is answered, other models notice nothing',
    answered: 1,
    async run(stage) {
      const other = new User(stage, 'guarded')
      // A run of four rows in 200 ms is 20 rows a second; 400 are asked for.
      await stage.inject('delay', { model: 'busy', ms: 200 })
      const brokenMs = performance.now()
      const users = Array.from({ length: 4 }, () => new User(stage, 'busy'))
      const detectedMs = await users[0]!.first(brokenMs, 'a refusal', ({ status }) => status === 429)
      await sleep(HOLD_MS)
      await Promise.all(users.slice(1).map((user) => user.end()))
      await stage.heal()
      const healedMs = performance.now()
      const recoveredMs = await users[0]!.steady(healedMs, 'the usual answer', ({ status }) => status === 200)
      await Promise.all([users[0]!.end(), other.end()])
      return { detectedMs, recoveredMs, seen: other.seen }
    },
  },
  {
    failure: 'A worker process is killed',
    sees: 'requests it had in hand break off and can be sent again; the others answer; a new one takes its place',
    answered: 0.95,
    server: ['--processes', '2'],
    async run(stage) {
      // On connections of their own, so that both processes have some of them.
      const users = Array.from({ length: 8 }, () => new User(stage, 'guarded', 80))
      const restarts = () => stage.metric('headrace_worker_restarts_total')
      await Promise.all(users.map((user) => user.steady(performance.now(), 'the usual answer', fromV2)))
      const earlier = await restarts()
      const brokenMs = performance.now()
      await stage.inject('kill/worker')
      const isBroken = ({ sentMs, status }: Seen) => sentMs >= brokenMs - 100 && status === 0
      const isNoticed = async () => users.some(({ seen }) => seen.some(isBroken)) || (await restarts()) > earlier
      const detectedMs = await stage.until(brokenMs, 'a process less', isNoticed)
      const isBack = async () => (await restarts()) > earlier && (await stage.metric('headrace_processes')) === 2
      const recoveredMs = await stage.until(brokenMs, 'the new process', isBack)
      await Promise.all(users.map((user) => user.steady(performance.now(), 'the usual answer', fromV2)))
      await Promise.all(users.map((user) => user.end()))
      return { detectedMs, recoveredMs, seen: users.flatMap(({ seen }) => seen) }
    },
  },
  {
    failure: 'The whole server is killed',
    sees: 'connections are refused until it is started again, to the same state; nothing acknowledged is lost (`proof:durability`)',
    answered: 0,
    async run(stage) {
      const user = new User(stage, 'guarded')
      await user.steady(performance.now(), 'the usual answer', fromV2)
      const brokenMs = performance.now()
      await stage.kill()
      const detectedMs = await user.first(brokenMs, 'a broken connection', ({ status }) => status === 0)
      const startedMs = performance.now()
      await stage.start()
      const recoveredMs = await user.steady(startedMs, 'the usual answer', fromV2)
      await user.end()
      return { detectedMs, recoveredMs, seen: user.seen }
    },
  },
  {
    failure: 'Redis is gone',
    sees: 'answers are not shared; a circuit bypasses it, and probes it until it is back',
    answered: 1,
    usesRedis: true,
    run: withoutRedis({ mode: 'drop' }),
  },
  {
    failure: 'Redis is slow',
    sees: 'a request waits for it once, for `serving.cache.sharedTimeoutMs` at most; then a circuit bypasses it',
    answered: 1,
    usesRedis: true,
    run: withoutRedis({ mode: 'slow', ms: 500 }),
  },
  {
    failure: 'A cache stampede',
    sees: 'identical requests at once cost one run of the model',
    answered: 1,
    run: stampede,
  },
  {
    failure: 'The disk is full',
    sees: 'predictions are answered and their records wait in memory; what promises a durable record, and decisions, get 503',
    answered: 1,
    async run(stage) {
      const user = new User(stage, 'guarded')
      const durable = new User(stage, 'durable')
      await durable.steady(performance.now(), 'the usual answer', fromV1)
      const brokenMs = performance.now()
      await stage.inject('disk-full')
      const detectedMs = await durable.first(brokenMs, 'a refusal', ({ code }) => code === 'LOG_WRITE_FAILED')
      await sleep(HOLD_MS)
      const healedMs = performance.now()
      await stage.heal()
      const recoveredMs = await durable.steady(healedMs, 'the usual answer', fromV1)
      await Promise.all([user.end(), durable.end()])
      return { detectedMs, recoveredMs, seen: user.seen }
    },
  },
  {
    failure: 'The clock jumps',
    sees: 'nothing but wrong times in records: deadlines and circuits are on the monotonic clock',
    answered: 1,
    async run(stage) {
      const user = new User(stage, 'guarded')
      await user.steady(performance.now(), 'the usual answer', fromV2)
      for (const ms of [-3_600_000, 86_400_000]) {
        await stage.inject('clock-skew', { ms })
        await sleep(HOLD_MS / 2)
        await stage.heal()
      }
      await user.steady(performance.now(), 'the usual answer', fromV2)
      await user.end()
      return { detectedMs: undefined, recoveredMs: undefined, seen: user.seen }
    },
  },
  {
    failure: 'The machine sleeps (the monotonic clock jumps)',
    sees: 'requests in flight are past their deadline and get 504; the next ones are as usual',
    answered: 0.9,
    async run(stage) {
      const user = new User(stage, 'guarded')
      await user.steady(performance.now(), 'the usual answer', fromV2)
      const brokenMs = performance.now()
      await stage.inject('clock-skew', { ms: 60_000, clock: 'monotonic' })
      const recoveredMs = await user.steady(brokenMs, 'the usual answer', fromV2)
      await stage.heal()
      await user.end()
      return { detectedMs: undefined, recoveredMs, seen: user.seen }
    },
  },
]

/** Rows of the table that serving alone cannot meet yet, and why. */
const NOT_YET: readonly (readonly [failure: string, reason: string])[] = [
  ['A candidate is worse than its control', 'needs releases and their guards'],
  ['Online feature store down or slow', 'needs the feature store'],
  [
    'Registry or blob store down',
    'the registry is a folder and a database of the server itself; a full disk is drilled',
  ],
  ['Memory pressure', 'tests of the pool have it'],
  ['A scoring job interrupted', 'needs scoring jobs'],
  ['A node cut off', 'needs leases; a server is one machine'],
]

export const proof: Proof = {
  claim:
    'Each failure that serving can meet is met under load: noticed and recovered from in the time shown, while users are answered.',
  fullCount: 3,
  unit: 'rounds',
  async run({ count, progress }) {
    const failures: string[] = []
    const timings = new Map<Drill, Timing[]>()
    const redis = redisMissing() === undefined ? await startRedis() : undefined
    for (let round = 1; round <= count; round++) {
      let stage: Stage | undefined
      let flags = ''
      try {
        for (const drill of drills) {
          if (drill.usesRedis && redis === undefined) continue
          const needed = [...(drill.server ?? []), drill.usesRedis ? 'redis' : ''].join(' ')
          if (stage === undefined || needed !== flags) {
            await stage?.close()
            stage = await Stage.open(drill.server, drill.usesRedis ? { REDIS_URL: redis!.url } : {})
            flags = needed
          }
          try {
            const timing = await drill.run(stage)
            timings.set(drill, [...(timings.get(drill) ?? []), timing])
            const share = answeredShare(timing)
            if (share < drill.answered) failures.push(`${drill.failure}: ${percent(share)} of the users were answered`)
          } catch (error) {
            failures.push(`${drill.failure}: ${error instanceof Error ? error.message : error}`)
            // The next drill starts from a server that is well.
            await stage.close()
            stage = undefined
          }
        }
      } finally {
        await stage?.close()
      }
      progress(round)
    }
    await redis?.kill()
    const figures: Record<string, string> = {}
    const rows: string[] = []
    for (const drill of drills) {
      const measured = timings.get(drill) ?? []
      const detected = time(measured.map(({ detectedMs }) => detectedMs))
      const recovered = time(measured.map(({ recoveredMs }) => recoveredMs))
      const answered = measured.length === 0 ? 'not measured' : percent(Math.min(...measured.map(answeredShare)))
      figures[drill.failure] = `detected in ${detected}, recovered in ${recovered}, ${answered} answered`
      rows.push(`| ${drill.failure} | ${drill.sees} | ${detected} | ${recovered} | ${answered} |`)
    }
    for (const [failure, reason] of NOT_YET) {
      figures[failure] = `not drilled: ${reason}`
      rows.push(`| ${failure} | not drilled: ${reason} | | | |`)
    }
    if (count === proof.fullCount && failures.length === 0) writeTable(rows)
    return { failures, figures }
  },
}

/** Whole as a file, and no model that could run. */
function corruptModel(): Uint8Array {
  return buildModel({
    inputs: [value('x', 'FP32', ['rows', 1])],
    outputs: [value('y', 'FP32', ['rows', 1])],
    nodes: [node('NoSuchOperator', ['x'], ['y'])],
  })
}

function answeredShare({ seen }: Timing): number {
  return seen.length === 0 ? 0 : seen.filter(({ status }) => status === 200).length / seen.length
}

const percent = (share: number): string => `${Number((share * 100).toFixed(1))} %`

/** The median over the rounds, and the slowest. */
function time(values: readonly (number | undefined)[]): string {
  const known = values.filter((value) => value !== undefined)
  if (known.length === 0) return '—'
  const worst = Math.max(...known)
  return `${text(median(known))}${known.length > 1 ? ` (${text(worst)})` : ''}`
}

const text = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`)

const PAGE = new URL('../docs/failures.md', import.meta.url)
const START = '<!-- generated: drill (npm run proof:drill) -->'
const END = '<!-- end of generated -->'

function writeTable(rows: readonly string[]): void {
  const page = readFileSync(PAGE, 'utf8')
  const start = page.indexOf(START)
  const end = page.indexOf(END, start)
  const table = [
    '| Failure | What you see | Detected in | Recovered in | Answered |',
    '| --- | --- | ---: | ---: | ---: |',
    ...rows,
  ].join('\n')
  writeFileSync(PAGE, `${page.slice(0, start)}${START}\n\n${table}\n\n${page.slice(end)}`)
}
