// Which output of a version means class probabilities: worked out once per version.
import type { ServedVersion } from '../serving/index.js'
import { describeRows } from '../tensor/index.js'

const names = new WeakMap<ServedVersion, string | null>()

export function probabilitiesOf(served: ServedVersion): string | undefined {
  let name = names.get(served)
  if (name === undefined) {
    name = find(served) ?? null
    names.set(served, name)
  }
  return name ?? undefined
}

function find({ signature, manifest, labels }: ServedVersion): string | undefined {
  try {
    return describeRows(signature, manifest, labels).outputs.find(({ meaning }) => meaning === 'probabilities')?.tensor
  } catch {
    // A manifest that does not fit its graph describes nothing; rows of named features are refused elsewhere.
    return undefined
  }
}
