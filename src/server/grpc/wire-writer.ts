// Writes protobuf messages front to back into one buffer that is used again and again: a message inside another gets its length
// once it is written, and moves up when the length takes more than the one byte that was kept for it.

const FIRST_BYTES = 16 * 1024

export class WireWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #at = 0

  get sizeBytes(): number {
    return this.#at
  }

  clear(): void {
    this.#at = 0
    // One large message does not take its memory for ever.
    if (this.#buffer.length > 64 * FIRST_BYTES) this.#buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  }

  copyTo(target: Buffer, at: number): void {
    this.#buffer.copy(target, at, 0, this.#at)
  }

  byte(value: number): void {
    this.#room(1)
    this.#buffer[this.#at++] = value
  }

  /** A whole number from 0 to 2^53. */
  varint(value: number): void {
    this.#room(10)
    this.#at = writeVarint(this.#buffer, this.#at, value)
  }

  /** Any 64-bit number; negative ones take ten bytes. */
  bigVarint(value: bigint): void {
    this.#room(10)
    let rest = BigInt.asUintN(64, value)
    while (rest > 0x7fn) {
      this.#buffer[this.#at++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#buffer[this.#at++] = Number(rest)
  }

  string(tag: number, text: string): void {
    if (text === '') return
    // No character takes more than three bytes.
    this.#room(text.length * 3 + 6)
    this.#buffer[this.#at++] = tag
    const start = this.#at
    if (text.length < 43) {
      const sizeBytes = this.#buffer.write(text, start + 1)
      this.#buffer[start] = sizeBytes
      this.#at = start + 1 + sizeBytes
      return
    }
    this.#at = writeVarint(this.#buffer, start, Buffer.byteLength(text))
    this.#at += this.#buffer.write(text, this.#at)
  }

  bytes(tag: number, value: Uint8Array): void {
    this.#room(value.length + 11)
    this.#buffer[this.#at++] = tag
    this.#at = writeVarint(this.#buffer, this.#at, value.length)
    this.#buffer.set(value, this.#at)
    this.#at += value.length
  }

  /** Begins a message inside this one; `close` takes what it returns. */
  open(tag: number): number {
    this.#room(2)
    this.#buffer[this.#at++] = tag
    return this.#at++
  }

  close(start: number): void {
    const sizeBytes = this.#at - start - 1
    if (sizeBytes < 0x80) {
      this.#buffer[start] = sizeBytes
      return
    }
    const more = varintBytes(sizeBytes) - 1
    this.#room(more)
    this.#buffer.copyWithin(start + 1 + more, start + 1, this.#at)
    writeVarint(this.#buffer, start, sizeBytes)
    this.#at += more
  }

  #room(sizeBytes: number): void {
    const needed = this.#at + sizeBytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }
}

export function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

/** Returns the offset after it. */
export function writeVarint(buffer: Buffer, at: number, value: number): number {
  let rest = value
  let next = at
  while (rest >= 0x80) {
    buffer[next++] = (rest & 0x7f) | 0x80
    // Shifts would cut it to 32 bits.
    rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 0x80)
  }
  buffer[next++] = rest
  return next
}
