// What the demo says at the end: each act in a line, who answered, and what the cascade saved.
import type { Counts } from './tally.js'
import { ENDPOINTS } from './users.js'
import type { Past } from './view.js'

export async function summary(url: string, past: readonly Past[], total: Counts): Promise<string> {
  const lines = ['', `${'what was wrong'.padEnd(34)}${'asked'.padStart(7)}${'failed'.padStart(8)}   who answered`]
  for (const { act, counts } of past) {
    const who = ENDPOINTS.map((endpoint) => `${endpoint}: ${namesOf(counts, endpoint)}`).join('; ')
    lines.push(`${act.padEnd(34)}${String(counts.requests).padStart(7)}${String(counts.failed).padStart(8)}   ${who}`)
  }
  lines.push('', `${ENDPOINTS.map((endpoint) => `${endpoint.padEnd(16)} ${namesOf(total, endpoint)}`).join('\n')}`)
  const saved = await costSaved(url)
  if (saved !== undefined) lines.push('', saved)
  for (const [problem, count] of total.problems) lines.push(`${count} × ${problem.slice(0, 200)}`)
  const answered = total.requests - total.failed
  const share = total.requests === 0 ? 0 : (100 * answered) / total.requests
  lines.push(
    '',
    `${answered} of ${total.requests} requests were answered (${share.toFixed(2)} %), p99 ${total.p99Ms.toFixed(0)} ms.`,
  )
  return lines.join('\n')
}

function namesOf(counts: Counts, endpoint: string): string {
  return (
    counts
      .by(endpoint)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || '-'
  )
}

/** What fraud-screen's cascade spent and saved, by the server's own metrics. */
async function costSaved(url: string): Promise<string | undefined> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const spent = sumOf(metrics, 'ml_route_cost_total')
  const saved = sumOf(metrics, 'ml_route_cost_saved_total')
  if (spent === undefined || saved === undefined) return undefined
  return `fraud-screen spent ${spent.toFixed(0)} µs of model time; not asking fraud/2 saved ${saved.toFixed(0)} µs (ml_route_cost_saved_total).`
}

function sumOf(metrics: string, name: string): number | undefined {
  const values = [...metrics.matchAll(new RegExp(`^${name}\\{[^}]*endpoint="fraud-screen"[^}]*\\} ([\\d.e+]+)$`, 'gm'))]
  return values.length === 0 ? undefined : values.reduce((sum, [, value]) => sum + Number(value), 0)
}
