// Which units were seen already, in a fixed space: an open-addressed table of 64-bit hashes. Full, it forgets everything and begins anew,
// whatever the arms of its units: a unit that counts a second time does so under either arm alike.
import { type Hash64, murmur3 } from '../../stats/index.js'

const encoder = new TextEncoder()
const hash: Hash64 = { high: 0, low: 0 }
let bytes = new Uint8Array(256)

export class SeenUnits {
  private table: Int32Array
  private mask: number
  private used = 0

  /** `capacity` units, a power of two; the space grows up to 16 bytes for each. */
  constructor(private readonly capacity: number) {
    const slots = Math.min(1024, 2 * capacity)
    this.table = new Int32Array(2 * slots)
    this.mask = slots - 1
  }

  /** False when `text` was added before. */
  add(text: string): boolean {
    if (text.length * 3 > bytes.length) bytes = new Uint8Array(text.length * 6)
    murmur3(bytes, encoder.encodeInto(text, bytes).written, hash)
    // An empty slot is two zeros.
    const high = hash.high | 0 || 1
    const low = hash.low | 0
    let slot = low & this.mask
    for (; this.table[2 * slot] !== 0; slot = (slot + 1) & this.mask)
      if (this.table[2 * slot] === high && this.table[2 * slot + 1] === low) return false
    this.table[2 * slot] = high
    this.table[2 * slot + 1] = low
    this.used++
    if (this.used > (this.mask + 1) / 2) this.grow()
    return true
  }

  clear(): void {
    this.table.fill(0)
    this.used = 0
  }

  private grow(): void {
    if (this.used >= this.capacity) {
      this.clear()
      return
    }
    const before = this.table
    this.mask = 2 * this.mask + 1
    this.table = new Int32Array(2 * (this.mask + 1))
    for (let i = 0; i < before.length; i += 2) {
      if (before[i] === 0) continue
      let slot = before[i + 1]! & this.mask
      while (this.table[2 * slot] !== 0) slot = (slot + 1) & this.mask
      this.table[2 * slot] = before[i]!
      this.table[2 * slot + 1] = before[i + 1]!
    }
  }
}
