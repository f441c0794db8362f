// Population stability index: how far a binned distribution is from a reference. Below 0.1 is taken for stable, above 0.2 for shifted.

/** An empty bin would be infinitely far: it counts as one row in ten thousand. */
const LEAST_SHARE = 1e-4

/** The sum of (actual - reference) * ln(actual / reference) over bins; shares add up to 1 each. */
export function populationStabilityIndex(reference: readonly number[], actual: readonly number[]): number {
  let index = 0
  for (let i = 0; i < reference.length; i++) {
    const p = Math.max(reference[i]!, LEAST_SHARE)
    const q = Math.max(actual[i] ?? 0, LEAST_SHARE)
    index += (q - p) * Math.log(q / p)
  }
  return index
}
