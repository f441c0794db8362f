// Latency: calls of one row, one after the other by as many callers as the endpoint's limits say, against those limits.
import type { Finding, Gate } from './gate.js'
import { machine, measure } from './measure.js'

/** A short form of `headrace profile`: three times this. */
const DURATION_MS = 400
/** From this spread of the repeats on the figures say more about the machine than about the version. */
const NOISY = 0.5

export const latency: Gate = {
  name: 'latency',
  isNeeded: false,
  async check({ app, served, settings, endpoint, signal }): Promise<Finding[]> {
    const { p50Ms, p95Ms, p99Ms, concurrency = 1 } = settings?.slo ?? {}
    const limits = { p50Ms, p95Ms, p99Ms }
    if (Object.values(limits).every((limit) => limit === undefined))
      return [
        { verdict: 'skipped', summary: `No limit of latency is configured (endpoints.${endpoint}.gates.slo.p99Ms).` },
      ]
    const on = machine()
    const measured = await measure(app, served!, { rows: 1, concurrency }, { signal, durationMs: DURATION_MS })
    const failures: string[] = []
    const told: string[] = []
    for (const name of ['p50Ms', 'p95Ms', 'p99Ms'] as const) {
      const limit = limits[name]
      if (limit === undefined) continue
      const text = `${name.slice(0, 3)} is ${measured[name].toFixed(2)} ms`
      if (measured[name] > limit) failures.push(`${text} and must be at most ${limit} ms.`)
      else told.push(`${text} (at most ${limit} ms).`)
    }
    const noise =
      measured.noise > NOISY
        ? ` The machine was noisy: repeats differ by ${Math.round(100 * measured.noise)} %, with a load of ${on.load.toFixed(1)} on ${on.cpus} processors.`
        : ''
    const evidence = { ...measured, limits, machine: on }
    if (failures.length > 0) return [{ verdict: 'failed', summary: failures.join(' ') + noise, evidence }]
    return [{ verdict: 'passed', summary: told.join(' ') + noise, evidence }]
  },
}
