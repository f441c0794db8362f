// An open-loop probe: requests leave at fixed times whether or not earlier ones were answered, and latency counts from the time
// a request was due. A closed loop would wait with the server and hide exactly the stalls it is meant to see.
import { fork } from 'node:child_process'
import { Agent, request } from 'node:http'
import { createHistogram, performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'

export interface ProbeTarget {
  readonly name: string
  readonly url: string
  /** POST with this body; without it GET. */
  readonly body?: string
}

export interface ProbeOptions {
  readonly targets: readonly ProbeTarget[]
  /** Per target. */
  readonly ratePerSecond: number
  readonly durationMs: number
}

export interface ProbeResult {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly errors: number
}

/** Runs the probe in a process of its own; figures by target name. */
export function probe(options: ProbeOptions): Promise<Record<string, ProbeResult>> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--probe'], {
      execArgv: ['--import', import.meta.resolve('tsx')],
    })
    child.once('message', (result) => resolve(result as Record<string, ProbeResult>))
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`The probe ended with status ${code} and no result.`)))
    child.send(options)
  })
}

async function run({ targets, ratePerSecond, durationMs }: ProbeOptions): Promise<Record<string, ProbeResult>> {
  const results = await Promise.all(targets.map((target) => runTarget(target, ratePerSecond, durationMs)))
  return Object.fromEntries(targets.map(({ name }, i) => [name, results[i]!]))
}

function runTarget(target: ProbeTarget, ratePerSecond: number, durationMs: number): Promise<ProbeResult> {
  const agent = new Agent({ keepAlive: true })
  const latencies = createHistogram()
  const startMs = performance.now()
  const total = Math.floor((durationMs / 1000) * ratePerSecond)
  let sent = 0
  let pending = 0
  let errors = 0
  return new Promise((resolve) => {
    const answered = (dueMs: number, ok: boolean) => {
      latencies.record(Math.max(1, Math.round((performance.now() - dueMs) * 1e6)))
      if (!ok) errors++
      pending--
      if (sent === total && pending === 0) {
        agent.destroy()
        resolve({
          p50Ms: latencies.percentile(50) / 1e6,
          p99Ms: latencies.percentile(99) / 1e6,
          maxMs: latencies.max / 1e6,
          errors,
        })
      }
    }
    const timer = setInterval(() => {
      while (sent < total && startMs + (sent * 1000) / ratePerSecond <= performance.now()) {
        const dueMs = startMs + (sent * 1000) / ratePerSecond
        sent++
        pending++
        send(agent, target, (ok) => answered(dueMs, ok))
      }
      if (sent === total) clearInterval(timer)
    }, 1)
  })
}

function send(agent: Agent, { url, body }: ProbeTarget, done: (ok: boolean) => void): void {
  const headers =
    body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
  const outgoing = request(url, { agent, method: body === undefined ? 'GET' : 'POST', headers }, (response) => {
    response.resume()
    response.once('end', () => done(response.statusCode === 200))
  })
  outgoing.once('error', () => done(false))
  outgoing.end(body)
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === '--probe') {
  process.once('message', (options) => {
    run(options as ProbeOptions).then((result) => process.send!(result, () => process.exit(0)))
  })
}
