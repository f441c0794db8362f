// How many distinct values there were, in a fixed space: HyperLogLog with the estimator of O. Ertl, "New cardinality estimation
// algorithms for HyperLogLog sketches" (2017), algorithm 6, which needs no tables of bias and no change of method by size.
// Merging is the maximum per register, so order and repetition do not matter.

import { type Hash64, murmur3 } from './murmur3.js'

const FORMAT = 1
const encoder = new TextEncoder()
let scratch = new Uint8Array(256)
const numbers = new DataView(new ArrayBuffer(9))
const numberBytes = new Uint8Array(numbers.buffer)
const hash: Hash64 = { high: 0, low: 0 }

/** Standard error 1.04 / sqrt(2^precision). `precision` is 4 to 18. */
export class HyperLogLog {
  // Few registers are kept by number; more, as a byte each.
  private sparse: Map<number, number> | undefined = new Map()
  private dense: Uint8Array | undefined
  private readonly sparseLimit: number

  constructor(readonly precision: number) {
    this.sparseLimit = Math.max(4, 2 ** precision / 64)
  }

  /** A number and the bigint of the same size are one value, a number and its text two. */
  add(value: number | bigint | string | boolean): void {
    hashValue(value)
    this.addHash(hash.high, hash.low)
  }

  /** The first bits choose the register; it keeps the longest run of zeros that follows, plus 1. */
  addHash(high: number, low: number): void {
    const register = high >>> (32 - this.precision)
    const rest = (high << this.precision) >>> 0
    const zeros = rest !== 0 ? Math.clz32(rest) : 32 - this.precision + Math.clz32(low)
    this.raise(register, zeros + 1)
  }

  merge(other: HyperLogLog): void {
    if (other.sparse !== undefined) for (const [register, rank] of other.sparse) this.raise(register, rank)
    else {
      const from = other.dense!
      const to = this.toDense()
      for (let register = 0; register < from.length; register++)
        if (from[register]! > to[register]!) to[register] = from[register]!
    }
  }

  /** A whole number. */
  estimate(): number {
    const registers = 2 ** this.precision
    const longest = 64 - this.precision
    const counts = new Float64Array(longest + 2)
    if (this.sparse !== undefined) {
      counts[0] = registers - this.sparse.size
      for (const rank of this.sparse.values()) counts[rank]!++
    } else for (const rank of this.dense!) counts[rank]!++
    let z = registers * tau(1 - counts[longest + 1]! / registers)
    for (let k = longest; k >= 1; k--) z = 0.5 * (z + counts[k]!)
    z += registers * sigma(counts[0]! / registers)
    return Math.round((registers * registers) / (2 * Math.LN2 * z))
  }

  get sizeBytes(): number {
    return 48 + (this.sparse === undefined ? this.dense!.length : 40 * this.sparse.size)
  }

  /** A stored format: version, precision, then either pairs of register and rank (with their number) or all ranks. */
  encode(): Uint8Array {
    if (this.sparse === undefined) {
      const bytes = new Uint8Array(3 + this.dense!.length)
      bytes.set([FORMAT, this.precision, 1])
      bytes.set(this.dense!, 3)
      return bytes
    }
    const bytes = new Uint8Array(3 + 4 * this.sparse.size)
    bytes.set([FORMAT, this.precision, 0])
    let at = 3
    for (const [register, rank] of [...this.sparse].sort(([a], [b]) => a - b)) {
      bytes.set([register & 255, (register >> 8) & 255, register >> 16, rank], at)
      at += 4
    }
    return bytes
  }

  /** undefined when the bytes are no sketch of that precision. */
  static decode(bytes: Uint8Array, precision: number): HyperLogLog | undefined {
    if (bytes.length < 3 || bytes[0] !== FORMAT || bytes[1] !== precision) return undefined
    const sketch = new HyperLogLog(precision)
    const registers = 2 ** precision
    const highest = 65 - precision
    if (bytes[2] === 1) {
      if (bytes.length !== 3 + registers) return undefined
      const dense = bytes.slice(3)
      if (dense.some((rank) => rank > highest)) return undefined
      sketch.sparse = undefined
      sketch.dense = dense
      return sketch
    }
    if (bytes[2] !== 0 || (bytes.length - 3) % 4 !== 0 || (bytes.length - 3) / 4 > sketch.sparseLimit) return undefined
    for (let at = 3; at < bytes.length; at += 4) {
      const register = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)
      const rank = bytes[at + 3]!
      if (register >= registers || rank === 0 || rank > highest) return undefined
      sketch.raise(register, rank)
    }
    return sketch
  }

  private raise(register: number, rank: number): void {
    const sparse = this.sparse
    if (sparse === undefined) {
      if (rank > this.dense![register]!) this.dense![register] = rank
    } else if (rank > (sparse.get(register) ?? 0)) {
      sparse.set(register, rank)
      if (sparse.size > this.sparseLimit) this.toDense()
    }
  }

  private toDense(): Uint8Array {
    if (this.dense !== undefined) return this.dense
    const dense = new Uint8Array(2 ** this.precision)
    for (const [register, rank] of this.sparse!) dense[register] = rank
    this.sparse = undefined
    this.dense = dense
    return dense
  }
}

/** The kind of value is part of what is hashed, as 1 and '1' are two. */
function hashValue(value: number | bigint | string | boolean): void {
  if (typeof value === 'string') {
    if (value.length * 3 + 1 > scratch.length) scratch = new Uint8Array(value.length * 6)
    scratch[0] = 1
    murmur3(scratch, encoder.encodeInto(value, scratch.subarray(1)).written + 1, hash)
    return
  }
  if (typeof value === 'bigint' && BigInt(Number(value)) !== value) {
    numberBytes[0] = 2
    numbers.setBigInt64(1, value, true)
  } else {
    numberBytes[0] = typeof value === 'boolean' ? 3 : 0
    numbers.setFloat64(1, Number(value) + 0, true)
  }
  murmur3(numberBytes, 9, hash)
}

/** x + Σ x^(2^k) 2^(k-1). */
function sigma(start: number): number {
  if (start === 1) return Number.POSITIVE_INFINITY
  let x = start
  let y = 1
  let z = x
  for (;;) {
    x *= x
    const before = z
    z += x * y
    y += y
    if (z === before) return z
  }
}

/** (1 - x - Σ (1 - x^(2^-k))² 2^-k) / 3. */
function tau(start: number): number {
  if (start === 0 || start === 1) return 0
  let x = start
  let y = 1
  let z = 1 - x
  for (;;) {
    x = Math.sqrt(x)
    const before = z
    y *= 0.5
    z -= (1 - x) ** 2 * y
    if (z === before) return z / 3
  }
}
