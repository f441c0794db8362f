// The shape of a proof: README.md says how one is written and run.

export interface Proof {
  /** The promise, as one sentence. */
  readonly claim: string
  /** How many repetitions the committed result stands on; CI runs 1 % of it. */
  readonly fullCount: number
  /** What is counted, where it is not repetitions. A proof of `seconds` takes `--seconds` for `--count`. */
  readonly unit?: 'requests' | 'seconds' | 'rounds' | 'streams'
  readonly run: (run: ProofRun) => Promise<ProofOutcome>
}

export interface ProofRun {
  readonly count: number
  /** All random choices come from here, so that a failure can be repeated. */
  readonly seed: number
  /** Says how many repetitions are done; printed at most once in five seconds. */
  readonly progress: (done: number) => void
}

export interface ProofOutcome {
  /** One sentence for each broken promise, with what is needed to repeat it. Empty: proven. */
  readonly failures: readonly string[]
  readonly figures: Readonly<Record<string, number | string>>
}
