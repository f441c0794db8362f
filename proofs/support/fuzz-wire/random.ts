// What every mutation draws from: hostile numbers, and bytes that were right before. A case is made from the seed and its number
// alone, so that it can be made again.
import { deflateSync, gzipSync } from 'node:zlib'
import { type Random, seededRandom } from '../../../dist/core/index.js'

export type { Random }

/** A case's own choices. */
export function caseRandom(seed: number, number: number): Random {
  return seededRandom(Math.imul(seed, 0x9e3779b1) + number)
}

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.uint32() % items.length]!
}

export function chance(random: Random, share: number): boolean {
  return random.next() < share
}

/** 0 to below `end`. */
export function below(random: Random, end: number): number {
  return end <= 0 ? 0 : random.uint32() % end
}

/** As dimensions, lengths and counts. */
export const HOSTILE_INTEGERS: readonly bigint[] = [
  0n,
  1n,
  -1n,
  2n,
  4n,
  -4n,
  127n,
  128n,
  255n,
  65_536n,
  1_000_000_007n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 32n + 4n,
  2n ** 53n - 1n,
  2n ** 53n + 1n,
  2n ** 62n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  2n ** 64n - 1n,
]

export function mutateBytes(random: Random, bytes: Buffer): Buffer {
  const at = below(random, bytes.length)
  switch (random.uint32() % 6) {
    case 0:
      return bytes.subarray(0, at)
    case 1: {
      const copy = Buffer.from(bytes)
      for (let i = 0; i < 4 && copy.length > 0; i++) copy[below(random, copy.length)] = random.uint32() & 0xff
      return copy
    }
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + below(random, 16)))])
    case 3:
      return Buffer.concat([bytes.subarray(0, Math.min(bytes.length, at + 1 + below(random, 32))), bytes.subarray(at)])
    case 4:
      return Buffer.concat([bytes.subarray(0, at), randomBytes(random, 1 + below(random, 12)), bytes.subarray(at)])
    default:
      return Buffer.concat([bytes, randomBytes(random, 1 + below(random, 64))])
  }
}

export function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.uint32() & 0xff))
}

/** 96 MiB of zeros in 94 KiB: over any limit here, and made once. */
const BOMB_BYTES = 96 * 1024 * 1024
let bombs: Readonly<Record<'gzip' | 'deflate', Buffer>> | undefined

export function bomb(encoding: 'gzip' | 'deflate'): Buffer {
  bombs ??= { gzip: gzipSync(Buffer.alloc(BOMB_BYTES)), deflate: deflateSync(Buffer.alloc(BOMB_BYTES)) }
  return bombs[encoding]
}

/** Compressed as said, sound or broken in one of the ways that compressed bytes can be broken. */
export function compress(random: Random, encoding: 'gzip' | 'deflate', bytes: Buffer): Buffer {
  const whole = encoding === 'gzip' ? gzipSync(bytes) : deflateSync(bytes)
  switch (random.uint32() % 8) {
    case 0:
      return whole.subarray(0, below(random, whole.length))
    case 1:
      return mutateBytes(random, whole)
    case 2:
      return Buffer.concat([whole, randomBytes(random, 9)])
    case 3:
      return encoding === 'gzip' ? deflateSync(bytes) : gzipSync(bytes)
    case 4:
      return chance(random, 0.1) ? bomb(encoding) : Buffer.alloc(0)
    default:
      return whole
  }
}
