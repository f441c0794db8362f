// Reads the fields of a request: JSON members of a body, or texts of a query. As in protocol buffers' JSON, null is absent, unknown
// fields are ignored, and a whole number may be written as text.
import type { Int64, Pair } from '../../tracking/index.js'
import { MlflowErrors } from './errors.js'

type Members = Readonly<Record<string, unknown>>

export class Fields {
  readonly #members: Members
  readonly #path: string

  constructor(members: Members, path = '') {
    this.#members = members
    this.#path = path
  }

  has(name: string): boolean {
    return this.#value(name) !== undefined
  }

  /** Required, and not empty. */
  text(name: string): string {
    const value = this.optional(name)
    if (value === undefined || value === '') throw MlflowErrors.PARAMETER_MISSING({ parameter: this.#path + name })
    return value
  }

  /** Under either of its names, as MLflow's messages have it for runs. */
  runId(): string {
    return this.optional('run_id') || this.optional('run_uuid') || this.text('run_id')
  }

  optional(name: string): string | undefined {
    const value = this.#value(name)
    if (value === undefined) return undefined
    if (typeof value !== 'string') throw this.#invalid(name, value, 'text')
    return value
  }

  int64(name: string): Int64 | undefined {
    const value = this.#value(name)
    if (value === undefined) return undefined
    if (typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))) return value
    if (typeof value === 'string' && /^[-+]?\d{1,19}$/.test(value)) {
      const whole = Number(value)
      return Number.isSafeInteger(whole) ? whole : BigInt(value)
    }
    throw this.#invalid(name, value, 'a whole number of 64 bits')
  }

  /** A small whole number, such as how many are wanted. */
  count(name: string, otherwise: number): number {
    const value = this.int64(name)
    return value === undefined ? otherwise : Number(value)
  }

  /** Required; "NaN", "Infinity" and "-Infinity" are numbers. */
  number(name: string): number {
    const value = this.#value(name)
    if (value === undefined) throw MlflowErrors.PARAMETER_MISSING({ parameter: this.#path + name })
    if (typeof value === 'number') return value
    if (typeof value === 'bigint') return Number(value)
    if (typeof value === 'string' && /^\s*[-+]?(?:NaN|Infinity|\d[\d.eE+-]*|\.\d[\deE+-]*)\s*$/.test(value)) {
      const number = Number(value)
      if (!Number.isNaN(number) || value.trim() === 'NaN') return number
    }
    throw this.#invalid(name, value, 'a number')
  }

  flag(name: string): boolean {
    const value = this.#value(name)
    if (value === undefined || value === false || value === 'false') return false
    if (value === true || value === 'true') return true
    throw this.#invalid(name, value, 'true or false')
  }

  texts(name: string): string[] {
    const value = this.#value(name)
    const list = value === undefined ? [] : Array.isArray(value) ? value : [value]
    for (const one of list) if (typeof one !== 'string') throw this.#invalid(name, one, 'a list of text')
    return list as string[]
  }

  list(name: string): Fields[] {
    const value = this.#value(name)
    if (value === undefined) return []
    if (!Array.isArray(value)) throw this.#invalid(name, value, 'a list of objects')
    return value.map((one, index) => {
      if (!isMembers(one)) throw this.#invalid(name, one, 'a list of objects')
      return new Fields(one, `${this.#path}${name}[${index}].`)
    })
  }

  object(name: string): Fields {
    const value = this.#value(name)
    if (!isMembers(value)) throw this.#invalid(name, value, 'an object')
    return new Fields(value, `${this.#path}${name}.`)
  }

  pairs(name: string): Pair[] {
    return this.list(name).map((pair) => ({ key: pair.text('key'), value: pair.optional('value') ?? '' }))
  }

  /** One of these texts. */
  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.optional(name)
    if (value === undefined) return undefined
    const found = allowed.find((one) => one === value)
    if (found === undefined) throw this.#invalid(name, value, `one of ${allowed.join(', ')}`)
    return found
  }

  #value(name: string): unknown {
    const value = Object.hasOwn(this.#members, name) ? this.#members[name] : undefined
    return value === null ? undefined : value
  }

  #invalid(name: string, value: unknown, expected: string) {
    return MlflowErrors.PARAMETER_INVALID({ parameter: this.#path + name, arrived: shown(value), expected })
  }
}

export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text =
    typeof value === 'bigint' ? String(value) : typeof value === 'object' ? 'an object' : JSON.stringify(value)
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
