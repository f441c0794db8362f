import { rm } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/core/index.js'
import { mlpModel, slowModel } from '../../test/support/onnx-models.js'
import { type ProbeTarget, probe } from '../support/probe.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { madeProject, readMetric, startHeadrace } from '../support/servers.js'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, seconds: { type: 'string', default: '20' } },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
/** Per model, low enough that two cores are free most of the time. */
const RATE_PER_SECOND = 100

const FEATURES = 30
const random = seededRandom(30)
const mlp = (seed: number): { model: Uint8Array } => ({
  model: mlpModel({ inputs: FEATURES, hidden: [32, 16], outputs: 2, seed }),
})
const slow = { model: slowModel(2), manifest: { isolation: 'thread' } }
const bodyOf = (columns: number): string =>
  JSON.stringify({
    inputs: [{ name: 'x', shape: [1, columns], datatype: 'FP32', data: Array.from({ length: columns }, random.next) }],
  })
const BODIES = { tiny: bodyOf(FEATURES), '2 ms': bodyOf(4) }

const version = (model: string) => ({ kind: 'version', model, version: 1 })
const shadowed = (name: string) => ({
  route: {
    kind: 'shadow',
    name: `${name}-shadow`,
    primary: version(name),
    shadow: version(`${name}-candidate`),
    sample: 1,
    maxInFlight: 64,
  },
})
const project = await madeProject(
  { tiny: mlp(1), 'tiny-candidate': mlp(2), slow, 'slow-candidate': slow },
  { 'tiny-shadowed': shadowed('tiny'), 'slow-shadowed': shadowed('slow') },
)
const ENDPOINTS: Record<string, Readonly<Record<keyof typeof BODIES, string>>> = {
  'no shadow': { tiny: 'tiny', '2 ms': 'slow' },
  'shadow of all': { tiny: 'tiny-shadowed', '2 ms': 'slow-shadowed' },
}

/** The models one after the other, so that each has the machine to itself. */
async function measure(subjectName: string): Promise<Figures> {
  const endpoints = ENDPOINTS[subjectName]!
  const subject = await startHeadrace(project)
  const figures: Record<string, number> = {}
  try {
    for (const model of Object.keys(BODIES) as (keyof typeof BODIES)[]) {
      const url = `${subject.url}/v2/models/${endpoints[model]}/infer`
      const targets: ProbeTarget[] = [{ name: model, url, body: BODIES[model] }]
      await probe({ targets, ratePerSecond: RATE_PER_SECOND, durationMs: 2000 })
      const before = await copies(subject)
      const { p50Ms, p99Ms, maxMs, errors } = (await probe({ targets, ratePerSecond: RATE_PER_SECOND, durationMs }))[
        model
      ]!
      if (errors > 0) throw new Error(`${errors} requests failed at ${url}`)
      const expected = endpoints[model].endsWith('-shadowed') ? (RATE_PER_SECOND * durationMs) / 1000 : 0
      const made = (await copies(subject)) - before
      if (Math.abs(made - expected) > 0.01 * expected)
        throw new Error(`${made} copies were made instead of ${expected}.`)
      Object.assign(figures, { [`${model} p50Ms`]: p50Ms, [`${model} p99Ms`]: p99Ms, [`${model} maxMs`]: maxMs })
    }
    return figures
  } finally {
    await subject.stop()
  }
}

function copies(subject: { readonly url: string; readonly pid: number; stop(): Promise<void> }): Promise<number> {
  return readMetric(subject, 'ml_shadow_calls_total', 'result="ok"')
}

const machine = describeMachine()
const results: Record<string, Figures[]> = {}
for (let round = 0; round < rounds; round++) {
  for (const name of Object.keys(ENDPOINTS)) {
    results[name] ??= []
    results[name].push(await measure(name))
  }
}
await rm(project, { recursive: true })
publish(makeReport('shadow', 'What does a shadow of every request cost the primary?', machine, results))
