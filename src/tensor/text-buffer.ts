// UTF-8 text that grows piece by piece in one buffer, for replies larger than a string should be.

export class TextBuffer {
  #bytes = Buffer.allocUnsafeSlow(256 * 1024)
  #length = 0

  get sizeBytes(): number {
    return this.#length
  }

  add(piece: string): void {
    // A UTF-16 unit takes at most three bytes.
    const needed = this.#length + piece.length * 3
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
      this.#bytes.copy(grown, 0, 0, this.#length)
      this.#bytes = grown
    }
    this.#length += this.#bytes.write(piece, this.#length)
  }

  /** The text so far, in memory of its own. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#bytes.buffer.slice(0, this.#length))
  }
}
