// MurmurHash3_x86_128 (Austin Appleby, public domain), of which the first 64 bits are taken: it needs 32-bit arithmetic only.
// Part of stored sketches: it must stay what it is for ever. Test vectors come from Python's mmh3.

/** Two halves of 32 bits, unsigned. Written over by the next call that is given it. */
export interface Hash64 {
  high: number
  low: number
}

const C1 = 0x239b961b
const C2 = 0xab0e9789 | 0
const C3 = 0x38b34ae5
const C4 = 0xa1e38b93 | 0

const rotl = (x: number, by: number) => (x << by) | (x >>> (32 - by))

function finish(x: number): number {
  let h = x
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** Hashes the first `length` bytes into `into`. */
export function murmur3(bytes: Uint8Array, length: number, into: Hash64): void {
  let h1 = 0
  let h2 = 0
  let h3 = 0
  let h4 = 0
  const word = (at: number) => bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
  const blocks = length & ~15
  for (let at = 0; at < blocks; at += 16) {
    h1 ^= Math.imul(rotl(Math.imul(word(at), C1), 15), C2)
    h1 = (Math.imul((rotl(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0
    h2 ^= Math.imul(rotl(Math.imul(word(at + 4), C2), 16), C3)
    h2 = (Math.imul((rotl(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0
    h3 ^= Math.imul(rotl(Math.imul(word(at + 8), C3), 17), C4)
    h3 = (Math.imul((rotl(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0
    h4 ^= Math.imul(rotl(Math.imul(word(at + 12), C4), 18), C1)
    h4 = (Math.imul((rotl(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0
  }
  const tail = (from: number) => {
    let value = 0
    for (let at = Math.min(length, from + 4) - 1; at >= from; at--) value = (value << 8) | bytes[at]!
    return value
  }
  if (length > blocks + 12) h4 ^= Math.imul(rotl(Math.imul(tail(blocks + 12), C4), 18), C1)
  if (length > blocks + 8) h3 ^= Math.imul(rotl(Math.imul(tail(blocks + 8), C3), 17), C4)
  if (length > blocks + 4) h2 ^= Math.imul(rotl(Math.imul(tail(blocks + 4), C2), 16), C3)
  if (length > blocks) h1 ^= Math.imul(rotl(Math.imul(tail(blocks), C1), 15), C2)
  h1 ^= length
  h2 ^= length
  h3 ^= length
  h4 ^= length
  h1 = (h1 + h2 + h3 + h4) | 0
  h2 = (h2 + h1) | 0
  h3 = (h3 + h1) | 0
  h4 = (h4 + h1) | 0
  h1 = finish(h1)
  h2 = finish(h2)
  h1 = (h1 + h2 + finish(h3) + finish(h4)) | 0
  h2 = (h2 + h1) | 0
  into.high = h1 >>> 0
  into.low = h2 >>> 0
}
