// What Linux says about a process under proof, and what its metrics say.
import { readdirSync, readFileSync } from 'node:fs'

export function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
}

export function threadCount(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).length
}

export const MiB = 2 ** 20

/** The samples of a Prometheus exposition: `name{labels}` to value. */
export async function readMetrics(url: string): Promise<Metrics> {
  const text = await (await fetch(`${url}/metrics`, { headers: { connection: 'close' } })).text()
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const space = line.lastIndexOf(' ')
    samples.set(line.slice(0, space), Number(line.slice(space + 1)))
  }
  return samples
}

export type Metrics = ReadonlyMap<string, number>

/** By how much the samples whose name, with its labels, matches have grown together. */
export function grown(before: Metrics, after: Metrics, pattern: RegExp): number {
  let sum = 0
  for (const [name, value] of after) if (pattern.test(name)) sum += value - (before.get(name) ?? 0)
  return sum
}

/** Least-squares slope of y over x. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const n = points.length
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n
  let covariance = 0
  let variance = 0
  for (const [x, y] of points) {
    covariance += (x - meanX) * (y - meanY)
    variance += (x - meanX) ** 2
  }
  return variance === 0 ? 0 : covariance / variance
}
