// Two readings of the same rows as one, for the flags and the log: a version that was loaded while a request was on its way was read for by
// itself.
import type { ReadPlan, ServedFeatures } from '../features/index.js'

export function joinFeatures(a: ServedFeatures, b: ServedFeatures): ServedFeatures {
  return {
    plan: joinPlans(a.plan, b.plan),
    rows: a.rows,
    atMs: a.atMs,
    values: [...a.values, ...b.values],
    sources: [...a.sources, ...b.sources],
    gaps: [...a.gaps, ...b.gaps],
    agesMs: [...a.agesMs, ...b.agesMs],
    hasDefaults: a.hasDefaults || b.hasDefaults,
    hasLastKnown: a.hasLastKnown || b.hasLastKnown,
    isDegraded: a.isDegraded || b.isDegraded,
    lacking: new Map([...a.lacking, ...b.lacking]),
    keys: a.keys,
    request: new Map([...a.request, ...b.request]),
  }
}

function joinPlans(a: ReadPlan, b: ReadPlan): ReadPlan {
  return {
    services: [...a.services, ...b.services],
    keys: [...a.keys, ...b.keys],
    request: [...a.request, ...b.request],
    features: [...a.features, ...b.features],
    columnsOf(service) {
      if (a.services.some(({ name }) => name === service)) return a.columnsOf(service)
      return new Map([...b.columnsOf(service)].map(([name, column]) => [name, a.features.length + column]))
    },
  }
}
