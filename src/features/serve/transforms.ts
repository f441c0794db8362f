// On-demand views at request time: users' functions, run once per row. What they throw, or return wrongly, costs their own features and
// nothing else.
import type { Platform } from '../../core/index.js'
import { checkValue } from '../check-value.js'
import type { Value } from '../value.js'
import type { PlannedOnDemand, PlannedView } from './plan.js'
import type { ValueGap, ValueSource } from './types.js'

export interface TransformInput {
  readonly rows: number
  readonly atMs: number
  /** Checked values of the request, by name. */
  readonly request: ReadonlyMap<string, readonly (Value | undefined)[]>
  /** Of feature `index` of view `view` of the plan. */
  readonly valueOf: (view: number, index: number, row: number) => Value
  readonly views: readonly PlannedView[]
}

export interface Computed {
  /** By feature of the view. */
  readonly values: Value[][]
  readonly sources: ValueSource[]
  readonly gaps: ValueGap[]
  readonly agesMs: undefined[]
  readonly failedRows: number
}

/** A transform that fails does so for every request: the log hears of it once in so long. */
const WARN_EVERY_MS = 60_000

export class Transforms {
  readonly #platform: Platform
  readonly #warnedMs = new Map<string, number>()

  constructor(platform: Platform) {
    this.#platform = platform
  }

  run({ view, views }: PlannedOnDemand, input: TransformInput): Computed {
    const { rows, atMs } = input
    const { features } = view
    const computed = {
      values: features.map(() => new Array<Value>(rows)),
      sources: new Array<ValueSource>(rows),
      gaps: new Array<ValueGap>(rows),
      agesMs: new Array<undefined>(rows),
      failedRows: 0,
    }
    for (let row = 0; row < rows; row++) {
      computed.agesMs[row] = undefined
      try {
        const given: Record<string, unknown> = { request: requestOf(view, input, row), atMs }
        for (let i = 0; i < views.length; i++) given[view.views[i]!.name] = rowOf(views[i]!, input, row)
        const result = view.transform(given)
        if (isPromise(result)) throw new TypeError('It returned a promise: an on-demand view answers at once.')
        for (let f = 0; f < features.length; f++) {
          const { name, type } = features[f]!
          computed.values[f]![row] = checkValue(type, result[name], `"${name}" of ${view.name}`)
        }
        computed.sources[row] = 'on-demand'
        computed.gaps[row] = 'none'
      } catch (error) {
        for (let f = 0; f < features.length; f++) computed.values[f]![row] = features[f]!.fallback
        computed.sources[row] = 'default'
        computed.gaps[row] = 'failed'
        computed.failedRows++
        this.#warn(view.name, error)
      }
    }
    return computed
  }

  #warn(view: string, error: unknown): void {
    const { clock, logger } = this.#platform
    const nowMs = clock.monotonicMs()
    const lastMs = this.#warnedMs.get(view)
    if (lastMs !== undefined && nowMs - lastMs < WARN_EVERY_MS) return
    this.#warnedMs.set(view, nowMs)
    logger.warn(
      { view, problem: error instanceof Error ? error.message : String(error) },
      'an on-demand view failed: its features get their defaults. Further failures of it within a minute are only counted',
    )
  }
}

/** Nobody will wait for it: how it ends must not end the process. */
function isPromise(result: unknown): boolean {
  if (!(result instanceof Promise)) return false
  result.catch(() => {})
  return true
}

function requestOf({ request }: PlannedOnDemand['view'], input: TransformInput, row: number): Record<string, Value> {
  const values: Record<string, Value> = {}
  for (let i = 0; i < request.length; i++) {
    const { name } = request[i]!
    values[name] = input.request.get(name)?.[row] ?? null
  }
  return values
}

function rowOf(at: number, input: TransformInput, row: number): Record<string, Value> {
  const { features } = input.views[at]!.view
  const values: Record<string, Value> = {}
  for (let i = 0; i < features.length; i++) values[features[i]!.name] = input.valueOf(at, i, row)
  return values
}
