import { rm } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { twoInputsModel } from '../../test/support/onnx-models.js'
import { cpuMs } from '../support/cpu.js'
import { load } from '../support/load.js'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { madeModels, type Subject, startHeadrace } from '../support/servers.js'
import { install } from './install.js'
import { INPUTS, type Outputs, type Protocol, RIVALS, V2 } from './rivals.js'
import { startRival } from './start.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    /** Keys of the rivals to run, separated by commas; default all. */
    only: { type: 'string', default: RIVALS.map(({ key }) => key).join(',') },
  },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
const CONNECTIONS = 16
const WARM_UP_MS = 2000
/** The load keeps to the last core; servers may use all of them, as most run several processes. */
const LOAD_CORE = cpus().length - 1
const CHOOSING_MS = 2000

const [first, second] = INPUTS as [readonly number[], readonly number[]]
const expected: Outputs = [first.map((value, i) => value + second[i]!), first.map((value, i) => value - second[i]!)]
const headers = { 'Content-Type': 'application/json' }
const models = await madeModels({ simple: { model: twoInputsModel() } })

interface Side {
  readonly protocol: Protocol
  readonly start: () => Promise<Subject>
}

async function measure({ start, protocol }: Side, ms: number): Promise<Figures> {
  const subject = await start()
  try {
    const url = subject.url + protocol.path
    const { body } = protocol
    await checkOutputs(url, protocol)
    const shared = { url, connections: CONNECTIONS, body, headers, core: LOAD_CORE }
    await load({ ...shared, durationMs: WARM_UP_MS })
    const before = cpuMs(subject.pid)
    const { requests, rate, p50Ms, p99Ms, errors } = await load({ ...shared, durationMs: ms })
    if (errors > 0) throw new Error(`${errors} of ${requests} requests failed at ${url}`)
    return {
      ratePerSecond: rate,
      cpuUsPerRequest: ((cpuMs(subject.pid) - before) * 1000) / requests,
      p50Ms,
      p99Ms,
    }
  } finally {
    await subject.stop()
  }
}

async function checkOutputs(url: string, { body, outputs }: Protocol): Promise<void> {
  const answer = await fetch(url, { method: 'POST', headers, body })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${text}`)
  if (JSON.stringify(outputs(JSON.parse(text))) !== JSON.stringify(expected))
    throw new Error(`${url} computes something else: ${text}`)
}

const machine = describeMachine()
const sides: Record<string, Side> = { Headrace: { protocol: V2, start: () => startHeadrace(models) } }
const keys = values.only.split(',')
for (const { name, key, protocol, variants } of RIVALS) {
  if (!keys.includes(key)) continue
  const installed = install(key)
  if ('reason' in installed) {
    console.log(`${name} is left out, it cannot be installed: ${installed.reason}`)
    continue
  }
  let bestRate = 0
  for (const variant of variants) {
    const start = () => startRival(variant, protocol, installed.bin, `${models}/simple/1/model.onnx`, expected)
    try {
      const { ratePerSecond } = await measure({ protocol, start }, CHOOSING_MS)
      console.log(`${name}, ${variant.what}: ${ratePerSecond!.toFixed(0)}/s`)
      if (ratePerSecond! <= bestRate) continue
      bestRate = ratePerSecond!
      sides[name] = { protocol, start }
    } catch (error) {
      console.log(`${name}, ${variant.what}, is left out: ${(error as Error).message}`)
    }
  }
}

const results: Record<string, Figures[]> = {}
for (let round = 0; round < rounds; round++) {
  for (const [name, side] of Object.entries(sides)) {
    results[name] ??= []
    results[name].push(await measure(side, durationMs))
  }
}
await rm(models, { recursive: true })
publish(
  makeReport('rivals', 'How many small predictions per second, at what CPU, beside other servers?', machine, results),
)
