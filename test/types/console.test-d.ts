// What the console believes the API answers, against what the server says it does: fields that go are found by `tsc -p tsconfig.json`.
import type * as consoleTypes from '../../console/src/api/types.js'
import type { EndpointView, LiveEndpoint, LiveOverview, ModelView, RouteView } from '../../src/app/index.js'
import type { Decision, Explanation } from '../../src/decisions/index.js'
import type { StoredDecision, StoredLateCall, StoredOutcome, StoredPrediction } from '../../src/log/index.js'
import type { Release } from '../../src/release/index.js'
import type { ReleaseStatusShown } from '../../src/server/api/reduced-release.js'

/** What arrives is JSON: what is undefined is absent. */
type Json<T> = T extends string
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Json<Item>[]
    : T extends object
      ? { readonly [K in keyof T as undefined extends T[K] ? never : K]: Json<T[K]> } & {
          readonly [K in keyof T as undefined extends T[K] ? K : never]?: Json<Exclude<T[K], undefined>>
        }
      : T

declare function answered<T>(): Json<T>

export function mustCompile(): readonly unknown[] {
  const endpoint: consoleTypes.EndpointView = answered<EndpointView>()
  const model: consoleTypes.ModelView = answered<ModelView>()
  const overview: consoleTypes.LiveOverview = answered<LiveOverview>()
  const live: consoleTypes.LiveEndpoint = answered<LiveEndpoint>()
  const route: consoleTypes.RouteView = answered<RouteView>()
  const release: consoleTypes.Release = answered<Release>()
  const status: consoleTypes.ReleaseStatus = answered<ReleaseStatusShown>()
  const decision: consoleTypes.Decision = answered<Decision>()
  const explanation: consoleTypes.DecisionExplanation = answered<Explanation>()
  const prediction: consoleTypes.PredictionRecord = answered<StoredPrediction>()
  const call: consoleTypes.LateCallRecord = answered<StoredLateCall>()
  const outcome: consoleTypes.OutcomeRecord = answered<StoredOutcome>()
  const recorded: consoleTypes.DecisionRecord = answered<StoredDecision>()
  return [
    endpoint,
    model,
    overview,
    live,
    route,
    release,
    status,
    decision,
    explanation,
    prediction,
    call,
    outcome,
    recorded,
  ]
}
