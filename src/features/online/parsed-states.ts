// Window states that were read lately, as they are in memory: parsing one of thousands of tiles takes tens of milliseconds, finding out that
// it has not changed a fraction of one.
import { hash } from 'node:crypto'
import type { KeyState } from '../aggregate/types.js'

/** Of smaller ones the parsing costs less than a millisecond. */
const WORTH_BYTES = 4096

interface ParsedState {
  readonly digest: string
  readonly state: KeyState
  readonly sizeBytes: number
}

export class ParsedStates {
  /** The longest unused first. */
  readonly #states = new Map<string, ParsedState>()
  #sizeBytes = 0

  constructor(private readonly limitBytes: number) {}

  /** The state of these bytes, parsed now or before. It is shared: nobody may change it. */
  get(table: string, key: string, bytes: Uint8Array, parse: (bytes: Uint8Array) => KeyState): KeyState {
    const name = `${table} ${key}`
    const known = this.#states.get(name)
    if (bytes.length < WORTH_BYTES) {
      if (known !== undefined) this.#remove(name, known)
      return parse(bytes)
    }
    const digest = hash('sha256', bytes, 'base64')
    if (known?.digest === digest) {
      this.#states.delete(name)
      this.#states.set(name, known)
      return known.state
    }
    if (known !== undefined) this.#remove(name, known)
    const state = parse(bytes)
    const { sizeBytes } = state
    this.#states.set(name, { digest, state, sizeBytes })
    this.#sizeBytes += sizeBytes
    for (const [oldest, one] of this.#states) {
      if (this.#sizeBytes <= this.limitBytes) break
      this.#remove(oldest, one)
    }
    return state
  }

  #remove(name: string, { sizeBytes }: ParsedState): void {
    this.#states.delete(name)
    this.#sizeBytes -= sizeBytes
  }
}
