// How often something was asked for lately: a count-min sketch of 4-bit counters that are halved now and then
// (Einziger, Friedman, Manes: TinyLFU, 2017). It never underestimates what it has not aged, and needs 8 bytes per entry.

/** Counters per row for each entry that is kept: at 4 a popular entry is seldom lifted by another's hits. */
const COUNTERS_PER_ENTRY = 4
const ROWS = 4
const MAX_COUNT = 15
/** Halved after this many increments per entry, as in Caffeine. */
const SAMPLE_PER_ENTRY = 10
const SEEDS = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f] as const

export class FrequencySketch {
  /** Rows one after another, eight counters to a word. */
  #table: Uint32Array
  /** Counters per row, a power of two, less one. */
  #mask: number
  #increments = 0
  #sampleSize: number

  constructor(entries = 64) {
    const width = widthFor(entries)
    this.#mask = width - 1
    this.#table = new Uint32Array((ROWS * width) / 8)
    this.#sampleSize = sampleSize(width)
  }

  get memoryBytes(): number {
    return this.#table.byteLength
  }

  /** Makes room for so many entries; what was counted stays. */
  grow(entries: number): void {
    const old = this.#mask + 1
    const width = widthFor(entries)
    if (width <= old) return
    const table = new Uint32Array((ROWS * width) / 8)
    const words = old / 8
    // A wider index is a narrower one with more bits in front, so every copy of a row answers as before.
    for (let row = 0; row < ROWS; row++)
      for (let at = 0; at < width / 8; at += words)
        table.set(this.#table.subarray(row * words, (row + 1) * words), (row * width) / 8 + at)
    this.#table = table
    this.#mask = width - 1
    this.#sampleSize = sampleSize(width)
  }

  /** Counts one request; `hash` is any 32 bits. */
  increment(hash: number): void {
    let grew = false
    for (let row = 0; row < ROWS; row++) {
      const at = this.#at(hash, row)
      const word = this.#table[at >> 3]!
      const shift = (at & 7) << 2
      if (((word >>> shift) & MAX_COUNT) === MAX_COUNT) continue
      this.#table[at >> 3] = word + (1 << shift)
      grew = true
    }
    if (grew && ++this.#increments >= this.#sampleSize) this.#age()
  }

  /** 0 to 15. */
  frequency(hash: number): number {
    let least = MAX_COUNT
    for (let row = 0; row < ROWS; row++) {
      const at = this.#at(hash, row)
      least = Math.min(least, (this.#table[at >> 3]! >>> ((at & 7) << 2)) & MAX_COUNT)
    }
    return least
  }

  #at(hash: number, row: number): number {
    let mixed = Math.imul(hash ^ (hash >>> 15), SEEDS[row]!)
    mixed ^= mixed >>> 13
    return row * (this.#mask + 1) + (mixed & this.#mask)
  }

  #age(): void {
    const table = this.#table
    // Each counter's lowest bit would slide into its neighbour: it is masked away.
    for (let i = 0; i < table.length; i++) table[i] = (table[i]! >>> 1) & 0x77777777
    this.#increments >>>= 1
  }
}

function widthFor(entries: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(16, entries * COUNTERS_PER_ENTRY)))
}

function sampleSize(width: number): number {
  return (width / COUNTERS_PER_ENTRY) * SAMPLE_PER_ENTRY
}
