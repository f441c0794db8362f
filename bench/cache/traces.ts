// Sequences of keys that are asked for. Each repeats exactly for a seed.
import { type Random, seededRandom } from '../../src/core/index.js'

export type Trace = Uint32Array

const KEYS = 100_000

/** Popularity falls with the rank to the power of `skew`, for ever in the same order. */
export function zipf(skew: number, requests: number, seed: number): Trace {
  const random = seededRandom(seed)
  const draw = ranks(skew, random)
  return Uint32Array.from({ length: requests }, () => draw())
}

/** The same, but what is popular is another part of the keys after every `period` requests. */
export function shifting(skew: number, period: number, requests: number, seed: number): Trace {
  const random = seededRandom(seed)
  const draw = ranks(skew, random)
  return Uint32Array.from({ length: requests }, (_, i) => (draw() + Math.floor(i / period) * 9973) % KEYS)
}

/** Popular keys, and now and then a walk over keys that are asked for once. */
export function scanned(skew: number, requests: number, seed: number): Trace {
  const random = seededRandom(seed)
  const draw = ranks(skew, random)
  let unseen = KEYS
  return Uint32Array.from({ length: requests }, (_, i) => (i % 20_000 < 10_000 ? draw() : unseen++))
}

/** Only what is recent is asked for again: a front that moves on by one key every four requests. */
export function recent(requests: number, seed: number): Trace {
  const random = seededRandom(seed)
  return Uint32Array.from({ length: requests }, (_, i) => {
    const age = -Math.log(1 - random.next()) * 1500
    return Math.max(0, Math.floor(100_000 + i / 4 - age))
  })
}

/** The same keys over and over in the same order: the worst case of LRU. */
export function loop(keys: number, requests: number): Trace {
  return Uint32Array.from({ length: requests }, (_, i) => i % keys)
}

/** Draws ranks by inverting the cumulative distribution. */
function ranks(skew: number, random: Random): () => number {
  const cumulative = new Float64Array(KEYS)
  let sum = 0
  for (let rank = 0; rank < KEYS; rank++) {
    sum += 1 / (rank + 1) ** skew
    cumulative[rank] = sum
  }
  return () => {
    const point = random.next() * sum
    let low = 0
    let high = KEYS - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (cumulative[middle]! < point) low = middle + 1
      else high = middle
    }
    return low
  }
}
