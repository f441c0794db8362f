// What gives a definition its meaning, as a digest: what is stored under another one was computed otherwise.
// Functions count by their source text; what they close over is not seen, which is why they may look at nothing but their input.
import { createHash } from 'node:crypto'
import type { FeatureProject } from '../compiled.js'

/** SHA-256, hex, of a plain value; keys of objects in the order of their names, undefined ones left out. */
export function fingerprint(meaning: unknown): string {
  return createHash('sha256').update(canonical(meaning)).digest('hex')
}

export function canonical(value: unknown): string {
  if (value === undefined || value === null) return 'null'
  if (typeof value === 'function') return JSON.stringify(`function ${String(value)}`)
  if (typeof value === 'bigint') return `"${value}n"`
  if (typeof value === 'number') return Object.is(value, -0) ? '0' : String(value)
  if (typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (ArrayBuffer.isView(value)) return `[${Array.from(value as Float32Array).join(',')}]`
  const entries = Object.entries(value)
    .filter(([, entry]) => entry !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${canonical(entry)}`).join(',')}}`
}

/** Of all that requests are answered by, defaults and services included: processes of one server are to agree on it. */
export function projectFingerprint({ views, onDemand, services }: FeatureProject): string {
  const computed = [...views.values(), ...onDemand.values()].map(({ name, fingerprint: meaning }) => [name, meaning])
  const given = [...services.values()].map(({ name, features }) => [
    name,
    features.map((feature) => [
      feature.name,
      feature.type,
      feature.fallback,
      feature.from.view.name,
      feature.from.index,
    ]),
  ])
  return fingerprint([computed, given])
}
