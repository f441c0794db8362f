// Quantiles with a bounded relative error: C. Masson, J. Rim, H. Lee, "DDSketch" (2019), with the logarithmic mapping. Buckets are never
// collapsed, so that merging is adding counts and the order of anything does not matter; all doubles fit into 71,000 buckets at 1 %.
// Departures: infinities have buckets of their own, and what is read is never larger than the largest double.

/** A sketch of numbers, none of them NaN; `accuracy` is above 0 and below 1. */
export class DDSketch {
  // By bucket number: above 0 and below 0 (of their size).
  private readonly positive = new Map<number, number>()
  private readonly negative = new Map<number, number>()
  private zeros = 0
  private infinities = 0
  private negativeInfinities = 0
  private total = 0
  private readonly gamma: number
  private readonly logGamma: number
  private readonly least: number

  constructor(readonly accuracy: number) {
    this.gamma = (1 + accuracy) / (1 - accuracy)
    this.logGamma = Math.log(this.gamma)
    // Logarithms of smaller ones are not accurate: they are zeros.
    this.least = 2.2250738585072014e-308 * this.gamma
  }

  get count(): number {
    return this.total
  }

  add(value: number): void {
    this.total++
    if (value === Number.POSITIVE_INFINITY) this.infinities++
    else if (value === Number.NEGATIVE_INFINITY) this.negativeInfinities++
    else if (value > this.least) raise(this.positive, this.bucket(value), 1)
    else if (value < -this.least) raise(this.negative, this.bucket(-value), 1)
    else this.zeros++
  }

  merge(other: DDSketch): void {
    for (const [bucket, count] of other.positive) raise(this.positive, bucket, count)
    for (const [bucket, count] of other.negative) raise(this.negative, bucket, count)
    this.zeros += other.zeros
    this.infinities += other.infinities
    this.negativeInfinities += other.negativeInfinities
    this.total += other.total
  }

  /** The value of rank floor(q (n - 1)), within `accuracy` of itself. undefined of nothing. */
  quantile(q: number): number | undefined {
    if (this.total === 0) return undefined
    let left = Math.floor(q * (this.total - 1)) - this.negativeInfinities
    if (left < 0) return Number.NEGATIVE_INFINITY
    for (const [bucket, count] of [...this.negative].sort(([a], [b]) => b - a)) {
      left -= count
      if (left < 0) return -this.value(bucket)
    }
    left -= this.zeros
    if (left < 0) return 0
    for (const [bucket, count] of [...this.positive].sort(([a], [b]) => a - b)) {
      left -= count
      if (left < 0) return this.value(bucket)
    }
    return Number.POSITIVE_INFINITY
  }

  get sizeBytes(): number {
    return 120 + 40 * (this.positive.size + this.negative.size)
  }

  /** What `fromCounts` makes the same sketch of: a stored format. */
  counts(): readonly number[] {
    const counts = [this.zeros, this.infinities, this.negativeInfinities, this.positive.size]
    for (const [bucket, count] of this.positive) counts.push(bucket, count)
    for (const [bucket, count] of this.negative) counts.push(bucket, count)
    return counts
  }

  /** undefined when they are no sketch's. */
  static fromCounts(accuracy: number, counts: readonly number[]): DDSketch | undefined {
    const [zeros = -1, infinities = -1, negativeInfinities = -1, positives = -1] = counts
    if (counts.length < 4 || counts.length % 2 !== 0 || 4 + 2 * positives > counts.length) return undefined
    if (Math.min(zeros, infinities, negativeInfinities, positives) < 0) return undefined
    const sketch = new DDSketch(accuracy)
    sketch.zeros = zeros
    sketch.infinities = infinities
    sketch.negativeInfinities = negativeInfinities
    sketch.total = zeros + infinities + negativeInfinities
    for (let at = 4; at < counts.length; at += 2) {
      const times = counts[at + 1]!
      if (times < 1) return undefined
      raise(at < 4 + 2 * positives ? sketch.positive : sketch.negative, counts[at]!, times)
      sketch.total += times
    }
    return sketch
  }

  private bucket(size: number): number {
    return Math.ceil(Math.log(size) / this.logGamma)
  }

  /** The one value that is within `accuracy` of every value of its bucket. */
  private value(bucket: number): number {
    return Math.min((2 * Math.exp(bucket * this.logGamma)) / (1 + this.gamma), Number.MAX_VALUE)
  }
}

function raise(counts: Map<number, number>, bucket: number, by: number): void {
  counts.set(bucket, (counts.get(bucket) ?? 0) + by)
}
