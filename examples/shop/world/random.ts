// The world's only source of chance: xoshiro128** seeded through splitmix32 (Blackman and Vigna, 2018).
// A stream has a label as well as a seed, so a change to how sessions are drawn leaves the payments as they were.

/** A repeatable stream of random draws: the same seed and label give the same draws on every machine. */
export class Random {
  private readonly state: Uint32Array

  constructor(seed: number, label = '') {
    this.state = splitmix32(seed ^ fnv1a(label))
  }

  /** Uniform on [0, 1) with 53 bits. */
  uniform(): number {
    const high = this.next() >>> 5
    const low = this.next() >>> 6
    return (high * 67_108_864 + low) / 9_007_199_254_740_992
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.uniform()
  }

  /** A whole number from `low` to `high`, both possible. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.uniform() < probability
  }

  /** Box-Muller; the second value is thrown away so that a stream has no hidden state. */
  normal(mean = 0, deviation = 1): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    return mean + deviation * radius * Math.cos(2 * Math.PI * this.uniform())
  }

  /** A positive, right-skewed value whose median is `median`. */
  logNormal(median: number, deviation: number): number {
    return median * Math.exp(this.normal(0, deviation))
  }

  exponential(mean: number): number {
    return -mean * Math.log(1 - this.uniform())
  }

  /** Knuth's method: exact, and quick for the small means used here. */
  poisson(mean: number): number {
    const limit = Math.exp(-mean)
    let count = 0
    for (let product = this.uniform(); product > limit; product *= this.uniform()) count++
    return count
  }

  pick<T>(values: readonly [T, ...T[]]): T {
    return values[Math.floor(this.uniform() * values.length)] ?? values[0]
  }

  /** One of the values, each as likely as its weight says; the weights need not sum to 1. */
  pickWeighted<T>(choices: readonly [readonly [T, number], ...(readonly [T, number])[]]): T {
    let remaining = this.uniform() * choices.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [value, weight] of choices) {
      remaining -= weight
      if (remaining < 0) return value
    }
    return choices[0][0]
  }

  private next(): number {
    const s = this.state as Uint32Array & { 0: number; 1: number; 2: number; 3: number }
    const result = Math.imul(rotateLeft(Math.imul(s[1], 5), 7), 9) >>> 0
    const shifted = s[1] << 9
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = rotateLeft(s[3], 11)
    return result
  }
}

/** Rounds to the digits a shop would store; the truth is computed from the rounded value. */
export function round(value: number, digits: number): number {
  const scale = 10 ** digits
  return Math.round(value * scale) / scale
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function splitmix32(seed: number): Uint32Array {
  let counter = seed | 0
  return Uint32Array.from({ length: 4 }, () => {
    counter = (counter + 0x9e3779b9) | 0
    let mixed = counter ^ (counter >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return mixed ^ (mixed >>> 15)
  })
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash
}
