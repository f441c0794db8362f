// An on-demand view computed anew, from what history says of its inputs and from what the request brought.
import { checkValue } from '../check-value.js'
import type { CompiledOnDemand, CompiledService, CompiledView } from '../compiled.js'
import type { Value } from '../value.js'
import type { ServedVector } from './types.js'

/** Values in the order of the view's features; undefined where the function fails. An input that the request overrode stays so. */
export function recompute(
  view: CompiledOnDemand,
  service: CompiledService,
  vector: ServedVector,
  rowOf: (view: CompiledView) => readonly Value[] | undefined,
): readonly Value[] | undefined {
  const request: Record<string, Value> = {}
  for (const { name } of view.request) request[name] = vector.request[name] ?? null
  const input: Record<string, unknown> = { request, atMs: vector.atMs }
  for (const of of view.views) {
    const row = rowOf(of)
    const values: Record<string, Value> = {}
    of.features.forEach((feature, i) => {
      values[feature.name] = row === undefined ? feature.fallback : row[i]!
    })
    for (const { name, from } of service.features) {
      if (from.kind !== 'view' || from.view !== of || vector.sources[name] !== 'request') continue
      values[of.features[from.index]!.name] = vector.values[name] ?? null
    }
    input[of.name] = values
  }
  try {
    const result = view.transform(input)
    return view.features.map(({ name, type }) => checkValue(type, result[name], `"${name}" of ${view.name}`))
  } catch {
    // The user's function fails on this input: it has no value here, as it had none when it was served.
    return undefined
  }
}
