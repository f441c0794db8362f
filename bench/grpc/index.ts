import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { seededRandom } from '../../src/core/index.js'
import { ModelInferRequest } from '../../src/oip/index.js'
import { mlpModel } from '../../test/support/onnx-models.js'
import { cpuMs } from '../support/cpu.js'
import { describeMachine, type Figures, makeReport, median, publish } from '../support/report.js'
import { madeModels, type Subject, settled, startHeadrace, startScript } from '../support/servers.js'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '5' } },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
const IN_FLIGHT = [1, 32]

const FEATURES = 30
const row = Float32Array.from({ length: FEATURES }, seededRandom(30).next)
const message = Buffer.from(
  ModelInferRequest.encode({
    modelName: 'mlp',
    modelVersion: '',
    id: '',
    parameters: new Map(),
    inputs: [
      { name: 'x', datatype: 'FP32', shape: [1n, BigInt(FEATURES)], parameters: new Map(), contents: undefined },
    ],
    outputs: [],
    rawInputContents: [new Uint8Array(row.buffer)],
  }).finish(),
).toString('base64')

const model = mlpModel({ inputs: FEATURES, hidden: [32, 16], outputs: 2, seed: 1 })
const folder = await madeModels({ mlp: { model } })
const subjects: Record<string, () => Promise<Subject>> = {
  'grpc-js echo': () => startScript(new URL('./echo-server.mjs', import.meta.url)),
  headrace: () => startHeadrace(folder),
}

interface Slice {
  readonly requests: number
  readonly errors: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const client = fileURLToPath(new URL('./load-client.mjs', import.meta.url))

async function load(address: string, inFlight: number, ms: number): Promise<Slice> {
  const options = JSON.stringify({ address, inFlight, durationMs: ms, message })
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [client, options])
  const slice = JSON.parse(stdout) as Slice
  if (slice.errors > 0) throw new Error(`${slice.errors} of ${slice.requests} calls failed: ${stderr}`)
  return slice
}

/** Short, so that what else the machine does meets both alike. */
const SLICE_MS = 1000

/** Fresh processes of both, each warmed up, then measured in turns. Who waits for its turn uses no CPU. */
async function measureRound(): Promise<Record<string, Figures>> {
  const running: { name: string; subject: Subject }[] = []
  const figures: Record<string, Record<string, number>> = {}
  try {
    for (const [name, start] of Object.entries(subjects)) {
      const subject = await start()
      running.push({ name, subject })
      figures[name] = {}
      await load(subject.grpc!, 32, Math.min(durationMs, 3000))
    }
    await settled()
    for (const inFlight of IN_FLIGHT) {
      const slices = running.map((): { slice: Slice; cpuMs: number }[] => [])
      for (let spentMs = 0; spentMs < durationMs; spentMs += SLICE_MS) {
        for (const [i, { subject }] of running.entries()) {
          const before = cpuMs(subject.pid)
          const slice = await load(subject.grpc!, inFlight, Math.min(SLICE_MS, durationMs))
          slices[i]!.push({ slice, cpuMs: cpuMs(subject.pid) - before })
        }
      }
      for (const [i, { name }] of running.entries()) {
        const of = figures[name]!
        const sum = (pick: (taken: { slice: Slice; cpuMs: number }) => number) =>
          slices[i]!.reduce((total, taken) => total + pick(taken), 0)
        const requests = sum(({ slice }) => slice.requests)
        of[`c${inFlight} cpuUsPerRequest`] = (sum((taken) => taken.cpuMs) * 1000) / requests
        of[`c${inFlight} ratePerSecond`] = requests / sum(({ slice }) => slice.seconds)
        of[`c${inFlight} p50Ms`] = median(slices[i]!.map(({ slice }) => slice.p50Ms))
        of[`c${inFlight} p99Ms`] = median(slices[i]!.map(({ slice }) => slice.p99Ms))
      }
    }
    return figures
  } finally {
    for (const { subject } of running) await subject.stop()
  }
}

const machine = describeMachine()
const results: Record<string, Figures[]> = {}
for (let round = 0; round < rounds; round++) {
  for (const [name, figures] of Object.entries(await measureRound())) {
    results[name] ??= []
    results[name].push(figures)
  }
}
await rm(folder, { recursive: true })
publish(makeReport('grpc', 'What does a prediction over gRPC cost beyond a bare grpc-js echo?', machine, results))
