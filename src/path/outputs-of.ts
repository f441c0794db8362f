// What a version's outputs mean and are called natively: worked out once per version.
import type { ServedVersion } from '../serving/index.js'
import { describeRows, type OutputSpec } from '../tensor/index.js'

const specs = new WeakMap<ServedVersion, readonly OutputSpec[]>()

export function outputsOf(served: ServedVersion): readonly OutputSpec[] {
  let found = specs.get(served)
  if (!found) {
    found = describe(served)
    specs.set(served, found)
  }
  return found
}

/** The output that means class probabilities. */
export function probabilitiesOf(served: ServedVersion): string | undefined {
  return outputsOf(served).find(({ meaning }) => meaning === 'probabilities')?.tensor
}

function describe({ signature, manifest, labels }: ServedVersion): readonly OutputSpec[] {
  try {
    return describeRows(signature, manifest, labels).outputs
  } catch {
    // A manifest that does not fit its graph describes nothing; rows of named features are refused elsewhere.
    return []
  }
}
