import { rm } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/core/index.js'
import { attribute, buildModel, identityModel, initializer, node, value } from '../../test/support/onnx-models.js'
import { cpuMs } from '../support/cpu.js'
import { load } from '../support/load.js'
import { describeMachine, type Figures, makeReport, median, publish } from '../support/report.js'
import { madeModels, type Subject, startHeadrace } from '../support/servers.js'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '5' } },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000

const ROWS = 1024
const COLUMNS = 256
const CONNECTIONS = 4
const random = seededRandom(4)
const numbers = Float32Array.from({ length: ROWS * COLUMNS }, () => random.next() * 2 - 1)

/** Four requests are four times more rows than wait by default. */
const manifest = { batching: { maxQueueRows: 16 * ROWS } }
const models = await madeModels({
  sum: {
    manifest,
    model: buildModel({
      inputs: [value('x', 'FP32', ['rows', COLUMNS])],
      outputs: [value('y', 'FP32', ['rows'])],
      nodes: [node('ReduceSum', ['x', 'axes'], ['y'], [attribute.int('keepdims', 0)])],
      initializers: [initializer('axes', 'INT64', [1], BigInt64Array.of(1n))],
    }),
  },
  same: { manifest, model: identityModel('FP32', ['rows', COLUMNS]) },
})

/** The fewest digits that read back to the same FP32. */
function shortest(number: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const text = String(Number(number.toPrecision(digits)))
    if (Math.fround(Number(text)) === number) return text
  }
  return String(Number(number.toPrecision(9)))
}

const data = Buffer.from(numbers.buffer)
const head = JSON.stringify({
  inputs: [{ name: 'x', shape: [ROWS, COLUMNS], datatype: 'FP32', parameters: { binary_data_size: data.length } }],
  parameters: { binary_data_output: true },
})

interface Form {
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

const FORMS: Readonly<Record<string, Form>> = {
  JSON: {
    body: Buffer.from(
      `{"inputs":[{"name":"x","shape":[${ROWS},${COLUMNS}],"datatype":"FP32","data":[${Array.from(numbers, shortest).join(',')}]}]}`,
    ),
    headers: { 'Content-Type': 'application/json' },
  },
  binary: {
    body: Buffer.concat([Buffer.from(head), data]),
    headers: { 'Inference-Header-Content-Length': String(Buffer.byteLength(head)) },
  },
}
const CASES = ['sum', 'same']

/** The numbers of a reply, whichever form it has. */
async function answerOf(url: string, { body, headers }: Form): Promise<Float32Array> {
  const reply = await fetch(url, { method: 'POST', headers, body: body as Uint8Array<ArrayBuffer> })
  if (!reply.ok) throw new Error(`${url} answered ${reply.status}: ${await reply.text()}`)
  const bytes = Buffer.from(await reply.arrayBuffer())
  const jsonBytes = reply.headers.get('inference-header-content-length')
  if (jsonBytes !== null) return new Float32Array(new Uint8Array(bytes.subarray(Number(jsonBytes))).buffer)
  return Float32Array.from((JSON.parse(bytes.toString()) as { outputs: [{ data: number[] }] }).outputs[0].data)
}

interface Tally {
  cpuMs: number
  requests: number
  seconds: number
  readonly p50Ms: number[]
}

/** Short, so that what else the machine does meets both alike; long enough for some JSON replies. */
const SLICE_MS = 2000

/** Until the server has done with what the load left behind when it ended: a large JSON body is work for long after. */
async function settled({ pid }: Subject): Promise<void> {
  for (let last = -1, now = cpuMs(pid); now > last; now = cpuMs(pid)) {
    last = now
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

async function measureRound(): Promise<Record<string, Figures>> {
  const subject = await startHeadrace(models)
  const figures: Record<string, Record<string, number>> = { JSON: {}, binary: {} }
  try {
    for (const model of CASES) {
      const url = `${subject.url}/v2/models/${model}/infer`
      const [json, binary] = await Promise.all(Object.values(FORMS).map((form) => answerOf(url, form)))
      // ONNX Runtime adds in an order that depends on where its memory lies.
      const isAlike = json!.length === binary!.length && json!.every((each, i) => Math.abs(each - binary![i]!) < 1e-4)
      if (!isAlike) throw new Error(`${model} answers binary requests otherwise than JSON.`)
      for (const form of Object.values(FORMS)) await load({ url, connections: CONNECTIONS, durationMs: 1000, ...form })
      await settled(subject)
      const tallies = Object.entries(FORMS).map(([name, form]) => {
        const tally: Tally = { cpuMs: 0, requests: 0, seconds: 0, p50Ms: [] }
        return { name, form, tally }
      })
      for (let spentMs = 0; spentMs < durationMs; spentMs += SLICE_MS) {
        for (const { form, tally } of tallies) {
          const before = cpuMs(subject.pid)
          const slice = await load({ url, connections: CONNECTIONS, durationMs: SLICE_MS, ...form })
          if (slice.errors > 0) throw new Error(`${slice.errors} of ${slice.requests} requests failed at ${url}`)
          await settled(subject)
          tally.cpuMs += cpuMs(subject.pid) - before
          tally.requests += slice.requests
          tally.seconds += slice.requests / slice.rate
          tally.p50Ms.push(slice.p50Ms)
        }
      }
      for (const { name, tally } of tallies) {
        const of = figures[name]!
        of[`${model} rowsPerSecond`] = (tally.requests * ROWS) / tally.seconds
        of[`${model} cpuUsPerRequest`] = (tally.cpuMs * 1000) / tally.requests
        of[`${model} p50Ms`] = median(tally.p50Ms)
      }
    }
    return figures
  } finally {
    await subject.stop()
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
await rm(models, { recursive: true })
publish(makeReport('binary', 'How many rows of 1 MB requests are answered, binary and as JSON?', machine, results))
