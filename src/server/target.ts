// Which prediction a URL asks for. URLs repeat, so what a path means is remembered, up to a bound.
import type { Protocol } from './parse-pool.js'

/** A path that predicts. */
export interface PredictTarget {
  readonly protocol: Protocol
  /** Endpoint or model, percent-decoded. */
  readonly name: string
  /** Named in the path, by its number or an alias: pins the version and bypasses the route. */
  readonly version: number | { readonly alias: string } | undefined
}

/** `undefined`: not a path that predicts. `'bad'`: it is, but its name or version cannot be read. */
export type ParsedTarget = PredictTarget | 'bad' | undefined

const PATTERNS: readonly [Protocol, RegExp][] = [
  ['oip', /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?\/infer$/],
  // TensorFlow Serving's labels are aliases.
  ['kserve-v1', /^\/v1\/models\/([^/:]+)(?:\/versions\/([^/:]+)|\/labels\/([^/:]+))?:predict$/],
  ['native', /^\/api\/v1\/predict\/([^/]+)$/],
]

const REMEMBERED = 1024
const remembered = new Map<string, ParsedTarget>()

/** Clients add arbitrary query strings, so they are ignored. */
export function predictTarget(url: string): ParsedTarget {
  const known = remembered.get(url)
  if (known !== undefined) return known
  const parsed = parse(url)
  if (parsed !== undefined && url.length <= 512) {
    if (remembered.size >= REMEMBERED) remembered.clear()
    remembered.set(url, parsed)
  }
  return parsed
}

function parse(url: string): ParsedTarget {
  const end = url.indexOf('?')
  const path = end < 0 ? url : url.slice(0, end)
  for (const [protocol, pattern] of PATTERNS) {
    const match = pattern.exec(path)
    if (!match) continue
    const name = decode(match[1]!)
    const version = match[2]
    const alias = match[3] === undefined ? undefined : decode(match[3])
    // As Triton: only digits.
    if (name === undefined || (version !== undefined && !/^[1-9]\d{0,14}$/.test(version))) return 'bad'
    if (match[3] === undefined) return { protocol, name, version: version === undefined ? undefined : Number(version) }
    return alias === undefined ? 'bad' : { protocol, name, version: { alias } }
  }
  return undefined
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
