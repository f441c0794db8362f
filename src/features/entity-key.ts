// Entity keys as one text: what stores, joins and logs find an entity by. Stored: the form never changes.
import { describeArrived, parseInt64 } from './check-value.js'
import type { CompiledKey } from './compiled.js'
import { FeatureErrors } from './errors.js'

export type KeyValue = string | number | bigint

/**
 * Text keys as they are and whole numbers in decimal; of several, each with `\` and `|` escaped by `\`, and `|` between them. `int64` takes
 * whole numbers or decimal text, `string` takes text only. Throws FEATURE_KEY_TYPE, FEATURE_KEY_MISSING.
 */
export function encodeKey(keys: readonly CompiledKey[], valueBy: (name: string) => unknown): string {
  if (keys.length === 1) return keyText(keys[0]!, valueBy(keys[0]!.name), keys)
  let encoded = ''
  for (let i = 0; i < keys.length; i++) {
    const text = keyText(keys[i]!, valueBy(keys[i]!.name), keys)
    encoded += (i === 0 ? '' : '|') + (/[\\|]/.test(text) ? text.replace(/[\\|]/g, '\\$&') : text)
  }
  return encoded
}

/** What `encodeKey` was given, in the order of `keys`: numbers where those are exact, else bigints. */
export function decodeKey(keys: readonly CompiledKey[], encoded: string): KeyValue[] {
  const parts: readonly string[] = keys.length === 1 ? [encoded] : split(encoded)
  return keys.map(({ type }, i) => (type === 'int64' ? parseInt64(parts[i])! : parts[i]!))
}

function keyText(key: CompiledKey, value: unknown, keys: readonly CompiledKey[]): string {
  if (value === null || value === undefined) {
    throw FeatureErrors.KEY_MISSING({ key: key.name, needed: keys.map(({ name }) => name) })
  }
  if (key.type === 'string') {
    if (typeof value === 'string') return value
  } else {
    const number = parseInt64(value)
    if (number !== undefined) return String(number)
  }
  throw FeatureErrors.KEY_TYPE({ key: key.name, type: key.type, arrived: describeArrived(value) })
}

function split(encoded: string): string[] {
  const parts: string[] = []
  let part = ''
  for (let i = 0; i < encoded.length; i++) {
    const letter = encoded[i]!
    if (letter === '|') {
      parts.push(part)
      part = ''
    } else part += letter === '\\' ? encoded[++i]! : letter
  }
  return [...parts, part]
}
