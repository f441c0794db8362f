// What a run of a version takes, learned from its runs: `rowMs · rows + fixedMs`. One model per bucket of shapes, because a text of
// a thousand tokens costs what a text of ten does not.
//
// Each run moves the two numbers by a Kalman filter (recursive least squares whose memory fades), so a load that always has the same
// number of rows leaves what is known of other sizes alone instead of blowing it up. A run far outside the usual spread, a garbage
// collection for instance, moves them no more than the edge of that spread would, until several in a row say that times changed.

/** Spread of the run times around the model, relative: where it starts, and the least it is taken for. */
const FIRST_SPREAD = 0.25
const LEAST_SPREAD = 0.02
/** How much a model is expected to drift from run to run, relative. */
const DRIFT = 0.005
/** A run that is this many spreads off is an outlier; this many of them in a row, on the same side, are the new truth. */
const OUTLIER_SPREADS = 4
const CHANGE_RUNS = 4
/** Runs after which a model is believed where a mistake would turn calls away. */
const TRUSTED_RUNS = 8

export class CostModel {
  #rowMs = 0
  #fixedMs = 0
  #runs = 0
  #firstRows = 0
  #firstMs = 0
  /** Covariance of the two. */
  #rowVar = 0
  #bothVar = 0
  #fixedVar = 0
  #spread = FIRST_SPREAD
  /** Outliers in a row; negative when they were fast. */
  #outliers = 0

  get rowMs(): number {
    return this.#rowMs
  }

  get fixedMs(): number {
    return this.#fixedMs
  }

  get runs(): number {
    return this.#runs
  }

  /** Typical distance of a run from its prediction, relative to it. */
  get spread(): number {
    return this.#spread
  }

  get isTrusted(): boolean {
    return this.#runs >= TRUSTED_RUNS
  }

  /** Milliseconds that a run of this many rows should take; 0 before the first. */
  ms(rows: number): number {
    return this.#rowMs * rows + this.#fixedMs
  }

  /** A run of this many rows took this long. */
  observe(rows: number, ms: number): void {
    // The first runs of a process or a thread take many times what all others do.
    const showsSlowStart = this.#runs < CHANGE_RUNS && rows >= this.#firstRows && ms < this.#firstMs / 2
    if (this.#runs++ === 0 || showsSlowStart) {
      this.#firstRows = rows
      this.#firstMs = ms
      // Nothing says yet how it divides: half each is wrong by a factor of two at most, up to the rows seen.
      this.#rowMs = ms / 2 / rows
      this.#fixedMs = ms / 2
      this.#startAnew(1)
      return
    }
    const expected = Math.max(this.ms(rows), 1e-6)
    this.#drift(rows, expected)
    const off = this.#limited(ms - expected, expected)
    const rowGain = this.#rowVar * rows + this.#bothVar
    const fixedGain = this.#bothVar * rows + this.#fixedVar
    const noise = this.#spread * expected
    const total = rowGain * rows + fixedGain + noise * noise
    this.#rowMs += (rowGain / total) * off
    this.#fixedMs += (fixedGain / total) * off
    this.#rowVar -= (rowGain * rowGain) / total
    this.#bothVar -= (rowGain * fixedGain) / total
    this.#fixedVar -= (fixedGain * fixedGain) / total
    // Neither is negative; what is predicted for these rows stays.
    if (this.#rowMs < 0) {
      this.#fixedMs = Math.max(0, this.#fixedMs + this.#rowMs * rows)
      this.#rowMs = 0
    } else if (this.#fixedMs < 0) {
      this.#rowMs = Math.max(0, this.#rowMs + this.#fixedMs / rows)
      this.#fixedMs = 0
    }
  }

  /** A busier machine or a slower clock changes both parts alike; how they divide is learned again from there. */
  #startAnew(factor: number): void {
    this.#rowMs *= factor
    this.#fixedMs *= factor
    this.#rowVar = this.#rowMs * this.#rowMs
    this.#fixedVar = this.#fixedMs * this.#fixedMs
    this.#bothVar = 0
  }

  #drift(rows: number, expected: number): void {
    const step = DRIFT * expected
    // Without these bounds a direction that is never observed would become so uncertain that one odd run decides it.
    this.#rowVar = Math.min(this.#rowVar + (step / rows) ** 2, (expected / rows) ** 2)
    this.#fixedVar = Math.min(this.#fixedVar + step ** 2, expected ** 2)
    const most = 0.999 * Math.sqrt(this.#rowVar * this.#fixedVar)
    this.#bothVar = Math.max(-most, Math.min(most, this.#bothVar))
  }

  /** How far off a run counts as; also keeps the spread. */
  #limited(off: number, expected: number): number {
    const limit = OUTLIER_SPREADS * this.#spread * expected
    const isOutlier = Math.abs(off) > limit
    const seen = Math.min(Math.abs(off), limit) / expected
    if (!isOutlier) this.#outliers = 0
    else if (off > 0) this.#outliers = Math.max(0, this.#outliers) + 1
    else this.#outliers = Math.min(0, this.#outliers) - 1
    if (Math.abs(this.#outliers) >= CHANGE_RUNS) {
      this.#outliers = 0
      this.#startAnew((expected + off) / expected)
      return 0
    }
    // Mean distance of a normal spread is 0.8 of its standard deviation.
    if (this.#runs > 3) this.#spread = Math.max(LEAST_SPREAD, this.#spread + 0.1 * (1.25 * seen - this.#spread))
    return isOutlier ? Math.sign(off) * limit : off
  }
}

/** Shapes whose rows are less than twice as large as each other share a model; 0 to 40 is from one element to more than memory holds. */
const BUCKETS = 41

/** The cost models of a version. */
export class CostModels {
  readonly #buckets: (CostModel | undefined)[] = new Array(BUCKETS).fill(undefined)

  /** The bucket of rows with this many elements. */
  static bucket(elementsPerRow: number): number {
    return Math.min(BUCKETS - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, elementsPerRow)))))
  }

  of(bucket: number): CostModel {
    const known = this.#buckets[bucket]
    if (known !== undefined) return known
    const model = new CostModel()
    this.#buckets[bucket] = model
    return model
  }

  /** A model that has seen runs: the bucket's own, or else its nearest neighbour's; undefined before the first run. */
  nearest(bucket: number): CostModel | undefined {
    for (let distance = 0; distance < BUCKETS; distance++) {
      const below = this.#buckets[bucket - distance]
      if (below !== undefined && below.runs > 0) return below
      const above = this.#buckets[bucket + distance]
      if (above !== undefined && above.runs > 0) return above
    }
    return undefined
  }
}
