import { readFile, rm } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { cpuMs } from '../support/cpu.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { madeModels, type Subject, startHeadrace, startScript } from '../support/servers.js'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '11' } } })
const rounds = Number(values.rounds)
const shop = new URL('../../examples/shop/models/', import.meta.url).pathname
const SOURCES = ['breast-cancer/1', 'purchase-intent/1', 'fraud/1', 'fraud/2']
const made: Record<string, { model: Uint8Array; manifest: Record<string, unknown> }> = {}
for (let i = 0; i < 10; i++) {
  const folder = shop + SOURCES[i % SOURCES.length]
  const manifest = JSON.parse(await readFile(`${folder}/model.json`, 'utf8')) as Record<string, unknown>
  made[`model-${i}`] = { model: await readFile(`${folder}/model.onnx`), manifest }
}
const models = await madeModels(made)

/** From the start of the process to the moment it says that it is ready, and the CPU it used until then. */
async function measure(start: () => Promise<Subject>, isReady: (url: string) => Promise<void>): Promise<Figures> {
  const startMs = performance.now()
  const subject = await start()
  const readyMs = performance.now() - startMs
  const readyCpuMs = cpuMs(subject.pid)
  try {
    await isReady(subject.url)
    return { readyMs, cpuMs: readyCpuMs }
  } finally {
    await subject.stop()
  }
}

async function checkReady(url: string): Promise<void> {
  const ready = await fetch(`${url}/readyz`)
  const { models: all } = (await (await fetch(`${url}/api/v1/models`)).json()) as {
    models: { versions: { state: string }[] }[]
  }
  const count = all.filter(({ versions }) => versions[0]?.state === 'ready').length
  if (ready.status !== 200 || count !== 10) throw new Error(`said it was ready, but ${count} of 10 models are`)
}

const machine = describeMachine()
const results: Record<string, Figures[]> = { 'empty Node server': [], 'headrace, 10 models': [] }
await measure(() => startHeadrace(models), checkReady)
for (let round = 0; round < rounds; round++) {
  const empty = () => startScript(new URL('./node-empty.mjs', import.meta.url))
  results['empty Node server']!.push(await measure(empty, async () => {}))
  results['headrace, 10 models']!.push(await measure(() => startHeadrace(models), checkReady))
}
await rm(models, { recursive: true })
publish(makeReport('startup', 'How long from start to ready with 10 small models?', machine, results))
