// The batcher's cost model `a·rows + b`, fitted to measured runs: least squares of relative errors over the median of each size, because a
// run of 64 rows that is off by a millisecond says less than one of a single row that is.

export interface CostLine {
  /** Milliseconds. */
  readonly rowMs: number
  readonly fixedMs: number
  readonly points: readonly {
    readonly rows: number
    readonly runs: number
    readonly medianMs: number
    readonly expectedMs: number
    readonly residual: number
  }[]
  /** Largest relative residual. */
  readonly worstResidual: number
}

/** Undefined with fewer than two sizes. */
export function fitCostLine(runs: readonly { readonly rows: number; readonly ms: number }[]): CostLine | undefined {
  const bySize = new Map<number, number[]>()
  for (const { rows, ms } of runs) bySize.set(rows, [...(bySize.get(rows) ?? []), ms])
  const sizes = [...bySize]
    .sort(([a], [b]) => a - b)
    .map(([rows, times]) => ({ rows, runs: times.length, medianMs: median(times) }))
  if (sizes.length < 2) return undefined
  let [w, wx, wy, wxx, wxy] = [0, 0, 0, 0, 0]
  for (const { rows, medianMs } of sizes) {
    const weight = 1 / Math.max(1e-6, medianMs) ** 2
    w += weight
    wx += weight * rows
    wy += weight * medianMs
    wxx += weight * rows * rows
    wxy += weight * rows * medianMs
  }
  let rowMs = (w * wxy - wx * wy) / (w * wxx - wx * wx)
  let fixedMs = (wy - rowMs * wx) / w
  // Neither part of a run takes negative time.
  if (rowMs < 0) [rowMs, fixedMs] = [0, wy / w]
  else if (fixedMs < 0) [rowMs, fixedMs] = [wxy / wxx, 0]
  const points = sizes.map((size) => {
    const expectedMs = rowMs * size.rows + fixedMs
    return { ...size, expectedMs, residual: (size.medianMs - expectedMs) / Math.max(1e-6, expectedMs) }
  })
  return { rowMs, fixedMs, points, worstResidual: Math.max(...points.map(({ residual }) => Math.abs(residual))) }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The smallest power of two whose rows cost at most so much more than in an endless batch: larger ones only make callers wait. */
export function recommendBatchSize({ rowMs, fixedMs }: CostLine, share = 0.1, most = 1024): number {
  let size = 1
  while (size < most && fixedMs / size > share * Math.max(1e-9, rowMs)) size *= 2
  return size
}
