// What answers without being a version (a constant, a combination) still needs a name and a signature to be shaped and recorded
// by: a stand-in with version 0, made once per name and signature.
import type { ModelName } from '../core/index.js'
import type { ServedVersion } from '../serving/index.js'

const standIns = new WeakMap<ServedVersion, Map<string, ServedVersion>>()

export function standIn(name: string, like: ServedVersion): ServedVersion {
  let byName = standIns.get(like)
  if (!byName) {
    byName = new Map()
    standIns.set(like, byName)
  }
  let found = byName.get(name)
  if (!found) {
    const ref = { model: name as ModelName, version: 0 }
    found = { ...like, ref, key: name }
    byName.set(name, found)
  }
  return found
}
