import { readFile, rm } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { identityModel, slowModel } from '../../test/support/onnx-models.js'
import { load } from '../support/load.js'
import { probe } from '../support/probe.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { madeModels, type Subject, startHeadrace, startScript } from '../support/servers.js'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '10' } },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
const RATE_PER_SECOND = 100
const SLOW_MS = 300
const headers = { 'Content-Type': 'application/json' }

const shop = new URL('../../examples/shop/', import.meta.url).pathname
const sample = JSON.parse(await readFile(`${shop}samples/breast-cancer.json`, 'utf8')) as {
  rows: Record<string, number>[]
}
const row = Object.values(sample.rows[0]!)
const fastBody = JSON.stringify({ inputs: [{ name: 'features', shape: [1, row.length], datatype: 'FP32', data: row }] })
const slowBody = JSON.stringify({ inputs: [{ name: 'x', shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] }] })
const LARGE_ELEMENTS = 3_300_000
const number = '0.12345678901234567'
const largeBody = `{"inputs":[{"name":"x","shape":[1,${LARGE_ELEMENTS}],"datatype":"FP32","data":[${`${number},`.repeat(LARGE_ELEMENTS - 1)}${number}]}]}`

const models = await madeModels({
  fast: { model: await readFile(`${shop}models/breast-cancer/1/model.onnx`) },
  slow: { model: slowModel(SLOW_MS) },
  large: { model: identityModel('FP32', ['rows', 'columns']) },
})

/** Quiet, then with the slow model under load, then with large bodies arriving; the same probe each time. */
async function measure(start: () => Promise<Subject>): Promise<Figures> {
  const subject = await start()
  const url = (model: string) => `${subject.url}/v2/models/${model}/infer`
  const targets = [
    { name: 'fast model', url: url('fast'), body: fastBody },
    { name: 'health', url: `${subject.url}/v2/health/live` },
  ]
  const run = () => probe({ targets, ratePerSecond: RATE_PER_SECOND, durationMs })
  const figures: Record<string, number> = {}
  const note = (when: string, results: Awaited<ReturnType<typeof run>>) => {
    for (const [name, { p50Ms, p99Ms, maxMs, errors }] of Object.entries(results)) {
      if (errors > 0) throw new Error(`${errors} probes of the ${name} failed (${when})`)
      figures[`${name} p50Ms, ${when}`] = p50Ms
      figures[`${name} p99Ms, ${when}`] = p99Ms
      figures[`${name} maxMs, ${when}`] = maxMs
    }
  }
  try {
    await run()
    note('quiet', await run())
    const [slowLoad, underSlow] = await Promise.all([
      load({
        url: url('slow'),
        connections: 4,
        body: slowBody,
        headers,
        durationMs: durationMs + 1000,
        engine: 'node',
      }),
      run(),
    ])
    note(`${SLOW_MS} ms model under load`, underSlow)
    figures['slow model answers'] = slowLoad.requests
    const [largeLoad, underLarge] = await Promise.all([
      load({
        url: url('large'),
        connections: 1,
        body: largeBody,
        headers,
        durationMs: durationMs + 1000,
        engine: 'node',
      }),
      run(),
    ])
    note('64 MiB bodies arriving', underLarge)
    figures['large bodies answered'] = largeLoad.requests - largeLoad.errors
    for (const when of [`${SLOW_MS} ms model under load`, '64 MiB bodies arriving'])
      for (const { name } of targets)
        figures[`${name} p99 raised by, ${when}`] =
          figures[`${name} p99Ms, ${when}`]! - figures[`${name} p99Ms, quiet`]!
    return figures
  } finally {
    await subject.stop()
  }
}

const machine = describeMachine()
const results: Record<string, Figures[]> = { headrace: [], 'ONNX Runtime in the HTTP process': [] }
for (let round = 0; round < rounds; round++) {
  results['headrace']!.push(await measure(() => startHeadrace(models)))
  results['ONNX Runtime in the HTTP process']!.push(
    await measure(() => startScript(new URL('./naive-server.mjs', import.meta.url), [models])),
  )
}
await rm(models, { recursive: true })
publish(makeReport('isolation', 'What do a slow model and huge bodies do to everyone else?', machine, results))
