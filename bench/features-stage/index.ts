import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/core/index.js'
import { mlpModel } from '../../test/support/onnx-models.js'
import { redisMissing, startRedis } from '../../test/support/redis.js'
import { cpuMs } from '../support/cpu.js'
import { load } from '../support/load.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { madeProject, readMetric, type Subject, settled, startScript } from '../support/servers.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    entities: { type: 'string', default: '10000' },
  },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
const CONCURRENCIES = [1, 16]

const FEATURES = 50
const names = Array.from({ length: FEATURES }, (_, i) => `f${i}`)
const model = mlpModel({ inputs: FEATURES, hidden: [32, 16], outputs: 2, seed: 1 })
const project = await madeProject(
  {
    plain: { model, manifest: { features: names } },
    served: { model, manifest: { features: names, featureService: 'bench' } },
  },
  {},
)
const random = seededRandom(50)
const headers = { 'Content-Type': 'application/json' }
const inputs = Object.fromEntries(names.map((name) => [name, random.next()]))
const brought = { endpoint: 'plain', body: JSON.stringify({ inputs }) }
const looked = { endpoint: 'served', body: JSON.stringify({ entities: { user_id: 'u7' } }) }

const redis = redisMissing() === undefined ? await startRedis() : undefined
if (redis === undefined) console.log(`Redis is left out: ${redisMissing()}`)
const SUBJECTS: Record<string, { readonly endpoint: string; readonly body: string; readonly redisUrl?: string }> = {
  'request brings 50': brought,
  'memory store': looked,
  ...(redis ? { Redis: { ...looked, redisUrl: redis.url } } : {}),
}

async function start(redisUrl: string | undefined, dataDir: string): Promise<Subject> {
  const args = [project, values.entities, ...(redisUrl === undefined ? [] : [redisUrl])]
  return startScript(new URL('./server.mjs', import.meta.url), args, {
    HEADRACE_STORE_DATA_DIR: dataDir,
    HEADRACE_SERVER_PORT: '0',
    HEADRACE_SERVER_LOG_LEVEL: 'silent',
  })
}

/** Sum and number of the stage's observations. */
async function stage(subject: Subject, endpoint: string): Promise<{ seconds: number; count: number }> {
  const labels = [`endpoint="${endpoint}"`, 'stage="features"']
  return {
    seconds: await readMetric(subject, 'ml_stage_seconds_sum', ...labels),
    count: await readMetric(subject, 'ml_stage_seconds_count', ...labels),
  }
}

async function measureRound(): Promise<Record<string, Figures>> {
  const running: { name: string; subject: Subject; url: string; dataDir: string }[] = []
  const figures: Record<string, Record<string, number>> = {}
  try {
    for (const [name, { endpoint, body, redisUrl }] of Object.entries(SUBJECTS)) {
      const dataDir = await mkdtemp(path.join(tmpdir(), 'headrace-bench-'))
      const subject = await start(redisUrl, dataDir)
      const url = `${subject.url}/api/v1/predict/${endpoint}`
      running.push({ name, subject, url, dataDir })
      figures[name] = {}
      const answer = await fetch(url, { method: 'POST', headers, body })
      const { flags } = (await answer.json()) as { flags?: readonly string[] }
      if (!answer.ok || flags?.length !== 0) throw new Error(`${url} answered ${answer.status}, flags ${flags}.`)
      await load({ url, connections: 16, body, headers, durationMs: Math.min(durationMs, 2000) })
    }
    await settled()
    for (const connections of CONCURRENCIES) {
      for (const { name, subject, url } of running) {
        const { endpoint, body } = SUBJECTS[name]!
        const cpuBefore = cpuMs(subject.pid)
        const stageBefore = await stage(subject, endpoint)
        const { requests, p50Ms, p99Ms, errors } = await load({ url, connections, body, headers, durationMs })
        if (errors > 0) throw new Error(`${errors} requests failed at ${url}`)
        const cpu = cpuMs(subject.pid) - cpuBefore
        const { seconds, count } = await stage(subject, endpoint)
        Object.assign(figures[name]!, {
          [`c${connections} stageMs`]: ((seconds - stageBefore.seconds) / (count - stageBefore.count)) * 1000,
          [`c${connections} p50Ms`]: p50Ms,
          [`c${connections} p99Ms`]: p99Ms,
          [`c${connections} cpuUsPerRequest`]: (cpu / requests) * 1000,
        })
      }
    }
    return figures
  } finally {
    for (const { subject, dataDir } of running) {
      await subject.stop()
      await rm(dataDir, { recursive: true, force: true })
    }
  }
}

const machine = describeMachine()
const results: Record<string, Figures[]> = {}
try {
  for (let round = 0; round < rounds; round++) {
    const figures = await measureRound()
    for (const name of Object.keys(SUBJECTS)) {
      results[name] ??= []
      results[name].push(figures[name]!)
    }
  }
} finally {
  await redis?.kill()
  await rm(project, { recursive: true, force: true })
}
publish(
  makeReport('features-stage', 'What do 50 features from the online store add to a prediction?', machine, results),
)
