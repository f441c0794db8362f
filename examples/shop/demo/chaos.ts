// `npm run demo:chaos`: serves the shop with several processes, lets people shop in it, breaks one thing after another, and shows
// what they notice. Ends with status 0 only if at least 999 of 1,000 requests were answered.
//   tsx examples/shop/demo/chaos.ts [--seconds 60] [--users 12] [--processes 2] [--plain]
import process from 'node:process'
import { parseArgs } from 'node:util'
import { type Act, createActs } from './acts.js'
import { type DemoServer, startShop } from './server.js'
import { summary } from './summary.js'
import { Counts, type Outcome, Tally } from './tally.js'
import { ENDPOINTS, startUsers } from './users.js'
import { createView, type Past } from './view.js'

const LEAST_ANSWERED = 0.999
const FRAME_MS = 250
/** The first seconds of processes that have just started say nothing about faults; they are not counted. */
const WARM_UP_MS = 2_000

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    users: { type: 'string', default: '12' },
    processes: { type: 'string', default: '2' },
    plain: { type: 'boolean', default: false },
  },
})
const isPlain = values.plain || !process.stdout.isTTY
const totalMs = 1000 * positive('seconds', values.seconds)
const print = (text: string): boolean => process.stdout.write(`${text}\n`)

print('Starting the shop…')
const server = await startShop(positive('processes', values.processes))
const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())
try {
  const { past, tally } = await play(server)
  print(await summary(server.url, past, tally.total))
  const { requests, failed } = tally.total
  if (requests === 0 || failed / requests > 1 - LEAST_ANSWERED) process.exitCode = 1
} finally {
  await server.stop()
}

async function play({ url, processes }: DemoServer): Promise<{ past: readonly Past[]; tally: Tally }> {
  const acts = createActs({ hasWorkers: processes > 1, hasRedis: process.env['REDIS_URL'] !== undefined })
  const tally = new Tally(ENDPOINTS)
  const past: Past[] = []
  let counts = new Counts()
  let isOpen = false
  const report = (outcome: Outcome): void => {
    if (!isOpen) return
    tally.add(outcome, performance.now())
    counts.add(outcome)
  }
  const users = startUsers({ url, users: positive('users', values.users), report })
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS))
  isOpen = true
  const view = createView(process.stdout, isPlain)
  const startMs = performance.now()
  try {
    for (const [i, act] of acts.entries()) {
      const endMs = startMs + ((i + 1) / acts.length) * totalMs
      counts = new Counts()
      await breakThings(url, act, endMs - performance.now())
      while (performance.now() < endMs && !stop.signal.aborted) {
        view.show({
          title: `The shop under fault: ${processes} processes at ${url}`,
          elapsedMs: performance.now() - startMs,
          totalMs,
          act: act.name,
          isFault: act.faults.length > 0,
          endpoints: tally.now(performance.now()),
          past,
        })
        await new Promise((resolve) => setTimeout(resolve, Math.min(FRAME_MS, endMs - performance.now())))
      }
      past.push({ act: act.name, counts })
      if (stop.signal.aborted) break
      await request(url, 'DELETE', 'faults')
    }
  } finally {
    await users.stop()
    view.end()
  }
  return { past, tally }
}

async function breakThings(url: string, { faults }: Act, durationMs: number): Promise<void> {
  for (const { path, body } of faults) {
    const lasts = path.startsWith('kill') ? {} : { durationMs: Math.max(1, Math.round(durationMs)) }
    await request(url, 'POST', path, { ...body, ...lasts })
  }
}

async function request(url: string, method: string, path: string, body?: object): Promise<void> {
  const init = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const send = () => fetch(`${url}/api/v1/chaos/${path}`, { method, ...init })
  // A process that was killed took its connections along.
  const response = await send().catch(send)
  if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${await response.text()}`)
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} needs a number above 0, not "${text}".`)
  return value
}
