// Which arm and unit a prediction had, for outcomes that come later: the most recent million. Outcomes of older predictions are left out,
// under either arm alike.
import type { GuardArm } from './types.js'

const MOST = 1_000_000

export interface RecentPrediction {
  readonly unit: string | null
  readonly arm: GuardArm
  readonly step: number
}

export class RecentPredictions {
  // Two generations: full, the older one goes.
  private young = new Map<string, RecentPrediction>()
  private old = new Map<string, RecentPrediction>()

  add(id: string, unit: string | null, arm: GuardArm, step: number): void {
    // Baseline units are never compared by outcome.
    if (arm === 'baseline') return
    if (this.young.size >= MOST / 2) {
      this.old = this.young
      this.young = new Map()
    }
    this.young.set(id, { unit, arm, step })
  }

  get(id: string): RecentPrediction | undefined {
    return this.young.get(id) ?? this.old.get(id)
  }
}
