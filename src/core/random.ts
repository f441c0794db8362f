// Randomness is passed in. The seeded generator repeats exactly; the system one is unpredictable.
import { randomFillSync } from 'node:crypto'

export interface Random {
  /** Uniform on [0, 1) with 53 bits. */
  next(): number
  /** Uniform 32-bit unsigned integer. */
  uint32(): number
}

/** Cryptographic randomness, drawn in blocks because one call to the system per number is slow. */
export function systemRandom(): Random {
  const pool = new Uint32Array(1024)
  let used = pool.length
  const uint32 = (): number => {
    if (used === pool.length) {
      randomFillSync(pool)
      used = 0
    }
    return pool[used++]!
  }
  return { uint32, next: () => toUnit(uint32(), uint32()) }
}

/** A repeatable stream: sfc32 (Doty-Humphrey, PractRand), seeded through splitmix32. Not for secrets. */
export function seededRandom(seed: number): Random {
  let s = seed >>> 0
  const splitmix = (): number => {
    s = (s + 0x9e3779b9) >>> 0
    let z = s
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) >>> 0
  }
  let a = splitmix()
  let b = splitmix()
  let c = splitmix()
  let counter = 1
  const uint32 = (): number => {
    const t = (a + b + counter++) >>> 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) >>> 0
    c = ((c << 21) | (c >>> 11)) >>> 0
    c = (c + t) >>> 0
    return t
  }
  for (let i = 0; i < 12; i++) uint32()
  return { uint32, next: () => toUnit(uint32(), uint32()) }
}

function toUnit(high: number, low: number): number {
  return ((high >>> 5) * 67108864 + (low >>> 6)) / 9007199254740992
}
