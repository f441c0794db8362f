// What is slow, dear and unusual, learned from the champion's calls before anything is judged by it: a threshold that is fixed first says
// nothing of which arm will pass it, so the coin stays fair whatever the threshold.
import { compareValues, DDSketch } from '../../stats/index.js'
import { latencyGuard } from './budget.js'
import type { OutputValue } from './outputs.js'
import { SeenUnits } from './seen-units.js'
import type { GuardSettings } from './settings.js'
import type { GuardThresholds } from './types.js'

const CALLS_TO_LEARN_FROM = 500
const SKETCH_ACCURACY = 0.01
const COST_QUANTILE = 0.95
const DECILE = 0.1
/** An output with more labels is an identifier, and is not compared. */
const MAX_LABELS = 1000
const UNITS_REMEMBERED = 2 ** 14

export class ThresholdLearner {
  private readonly latencies = new DDSketch(SKETCH_ACCURACY)
  private readonly costs = new DDSketch(SKETCH_ACCURACY)
  private readonly numbers = new DDSketch(SKETCH_ACCURACY)
  private readonly labels = new Map<string, number>()
  private outputName: string | undefined
  private readonly seen = new SeenUnits(UNITS_REMEMBERED)
  private calls = 0
  private units = 0
  private failingUnits = 0

  constructor(private readonly settings: GuardSettings) {}

  /** One prediction of the champion's; a unit that is broken and asks for ever is one of many units. */
  unit(key: string, isFailed: boolean): void {
    this.calls++
    if (!this.seen.add(key)) return
    this.units++
    if (isFailed) this.failingUnits++
  }

  latency(latencyMs: number): void {
    this.latencies.add(latencyMs)
  }

  cost(cost: number): void {
    this.costs.add(cost)
  }

  output(output: OutputValue): void {
    this.outputName ??= output.name
    if (output.name !== this.outputName) return
    if (output.kind === 'number') this.numbers.add(output.value)
    else if (output.kind === 'label' && this.labels.size <= MAX_LABELS)
      this.labels.set(output.value, (this.labels.get(output.value) ?? 0) + 1)
  }

  /** Undefined while too few calls were seen. */
  thresholds(): GuardThresholds | undefined {
    if (this.calls < CALLS_TO_LEARN_FROM) return undefined
    const { latency, cost } = this.settings
    const limits: Record<string, number> = {}
    for (const quantile of latency.quantiles) {
      const limit = this.latencies.quantile(quantile)
      if (limit !== undefined) limits[latencyGuard(quantile)] = limit
    }
    const usualCost = this.costs.quantile(COST_QUANTILE)
    if (cost.enabled && usualCost !== undefined) limits['cost'] = usualCost
    const outputs = this.outputs()
    return {
      limits,
      ...(outputs === undefined ? undefined : { outputs }),
      failingShare: this.failingUnits / this.units,
      calls: this.calls,
    }
  }

  private outputs(): GuardThresholds['outputs'] {
    const name = this.outputName
    if (name === undefined || !this.settings.outputs.enabled) return undefined
    if (this.labels.size > 0) {
      if (this.labels.size > MAX_LABELS) return undefined
      const byFrequency = [...this.labels].sort(([a, timesA], [b, timesB]) => timesB - timesA || compareValues(a, b))
      return { kind: 'label', name, labels: byFrequency.map(([label]) => label) }
    }
    const low = this.numbers.quantile(DECILE)
    const high = this.numbers.quantile(1 - DECILE)
    return low === undefined || high === undefined ? undefined : { kind: 'number', name, low, high }
  }
}
