// Latencies counted in bins that grow by a fifth: quantiles of any share of traffic from 80 numbers, to within a tenth. Counts of
// several windows, and of several nodes, add up exactly.
const BINS = 80
const FIRST_MS = 0.05
const GROWTH = 1.2
const LOG_GROWTH = Math.log(GROWTH)

export type LatencyBins = Uint32Array

/** The bins that hold anything, as nodes tell each other: a bin and its count, and the next bin. */
export type SparseBins = readonly number[]

export const latencyBins = (): LatencyBins => new Uint32Array(BINS)

/** Bin 0 holds all up to 0.05 ms; the last one all above a minute and a half. */
export function countLatency(bins: LatencyBins, ms: number): void {
  const bin = ms <= FIRST_MS ? 0 : Math.min(BINS - 1, Math.ceil(Math.log(ms / FIRST_MS) / LOG_GROWTH))
  bins[bin]!++
}

export function addBins(to: LatencyBins, from: LatencyBins): void {
  for (let i = 0; i < BINS; i++) to[i]! += from[i]!
}

export function sparseBins(bins: LatencyBins): SparseBins {
  const sparse: number[] = []
  for (let i = 0; i < BINS; i++) if (bins[i]! > 0) sparse.push(i, bins[i]!)
  return sparse
}

export function addSparse(to: LatencyBins, from: SparseBins): void {
  for (let i = 0; i + 1 < from.length; i += 2) if (from[i]! < BINS) to[from[i]!]! += from[i + 1]!
}

/** Interpolated within its bin on the logarithmic scale; null where nothing was counted. */
export function latencyQuantile(bins: LatencyBins, q: number): number | null {
  let total = 0
  for (let i = 0; i < BINS; i++) total += bins[i]!
  if (total === 0) return null
  const wanted = q * total
  let below = 0
  for (let i = 0; i < BINS; i++) {
    const count = bins[i]!
    if (count > 0 && below + count >= wanted) {
      const within = Math.max(0, wanted - below) / count
      return round(FIRST_MS * GROWTH ** (i === 0 ? 0 : i - 1 + within))
    }
    below += count
  }
  return round(FIRST_MS * GROWTH ** (BINS - 1))
}

/** The bins are no more exact than this. */
function round(ms: number): number {
  return Number(ms.toPrecision(3))
}
