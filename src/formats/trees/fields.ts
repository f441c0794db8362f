// Reads what a parsed file holds, with where it stood in the message when it is not what it should be.
import { unreadable } from './failure.js'

/** Numbers, typed where the file types them. */
export type Numbers = ArrayLike<number>

export class Fields {
  constructor(
    private readonly values: Readonly<Record<string, unknown>>,
    private readonly path: string,
  ) {}

  static of(value: unknown, path: string): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
      throw unreadable(`${path} is missing`)
    }
    return new Fields(value as Record<string, unknown>, path)
  }

  has(key: string): boolean {
    return Object.hasOwn(this.values, key)
  }

  get(key: string): unknown {
    return this.has(key) ? this.values[key] : undefined
  }

  object(key: string): Fields {
    return Fields.of(this.get(key), this.#at(key))
  }

  text(key: string): string {
    const value = this.get(key)
    if (typeof value !== 'string') throw unreadable(`${this.#at(key)} is no text`)
    return value
  }

  list(key: string): readonly unknown[] {
    const value = this.get(key)
    if (!Array.isArray(value)) throw unreadable(`${this.#at(key)} is no list`)
    return value
  }

  texts(key: string): readonly string[] {
    const list = this.list(key)
    if (!list.every((item) => typeof item === 'string')) throw unreadable(`${this.#at(key)} is no list of texts`)
    return list
  }

  /** A whole number, which XGBoost keeps as text. */
  whole(key: string, missing?: number): number {
    const value = this.get(key)
    if (value === undefined && missing !== undefined) return missing
    const number = typeof value === 'string' && value !== '' ? Number(value) : value
    if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
      throw unreadable(`${this.#at(key)} is no whole number`)
    }
    return number
  }

  /** Numbers that fit 32 bits; `count` of them when it is given. */
  integers(key: string, count?: number): Numbers {
    const numbers = this.numbers(key, count)
    for (let i = 0; i < numbers.length; i++) {
      if ((numbers[i]! | 0) !== numbers[i]) throw unreadable(`${this.#at(key)} has an element that is no whole number`)
    }
    return numbers
  }

  /** Numbers and booleans, null as NaN; `count` of them when it is given. */
  numbers(key: string, count?: number): Numbers {
    const value = this.get(key)
    const isTyped = ArrayBuffer.isView(value) && !(value instanceof BigInt64Array) && !(value instanceof DataView)
    if (!isTyped && !Array.isArray(value)) throw unreadable(`${this.#at(key)} is no list of numbers`)
    const numbers = value as unknown as ArrayLike<unknown>
    if (count !== undefined && numbers.length !== count) {
      throw unreadable(`${this.#at(key)} has ${numbers.length} elements, and ${count} are needed`)
    }
    if (isTyped) return numbers as Numbers
    return Array.from(numbers, (item) => {
      if (typeof item === 'number') return item
      if (item === null) return Number.NaN
      if (typeof item === 'boolean') return item ? 1 : 0
      throw unreadable(`${this.#at(key)} is no list of numbers`)
    })
  }

  #at(key: string): string {
    return this.path === '' ? `"${key}"` : `"${this.path}.${key}"`
  }
}
