// The little of tar that a package needs: regular files with short names, each header exactly as this writer makes it. A reader that
// accepts only that leaves nothing in a package that no digest covers: links, owners, times, trailing bytes.
import { type FileHandle, open } from 'node:fs/promises'
import { RegistryErrors } from '../errors.js'

const BLOCK = 512
/** The largest size that eleven octal digits hold. */
const MAX_OCTAL = 8 ** 11 - 1

/** An entry's header. Names are ASCII of at most 100 characters. */
export function tarHeader(name: string, sizeBytes: number): Buffer {
  const header = Buffer.alloc(BLOCK)
  header.write(name, 0, 100, 'ascii')
  header.write('0000644\0', 100, 'ascii')
  header.write('0000000\0', 108, 'ascii')
  header.write('0000000\0', 116, 'ascii')
  if (sizeBytes <= MAX_OCTAL) header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124, 'ascii')
  else {
    // GNU's form for larger ones: a set bit, then the number itself.
    header[124] = 0x80
    header.writeBigUInt64BE(BigInt(sizeBytes), 128)
  }
  header.write('00000000000\0', 136, 'ascii')
  header.write('        ', 148, 'ascii')
  header.write('0', 156, 'ascii')
  header.write('ustar\x0000', 257, 'ascii')
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'ascii')
  return header
}

export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK - (sizeBytes % BLOCK)) % BLOCK)
}

export const TAR_END = Buffer.alloc(2 * BLOCK)

/** Reads a package's entries one after the other. Every method throws REGISTRY_PACKAGE_INVALID. */
export class TarReader {
  #position = 0

  private constructor(
    private readonly handle: FileHandle,
    private readonly sizeBytes: number,
  ) {}

  static async open(file: string): Promise<TarReader> {
    const handle = await open(file, 'r')
    return new TarReader(handle, (await handle.stat()).size)
  }

  /** Name and size of the next entry, without going on; undefined at the end. */
  async peek(): Promise<{ readonly name: string; readonly sizeBytes: number } | undefined> {
    const header = await this.#bytes(this.#position, BLOCK)
    if (header.every((byte) => byte === 0)) return undefined
    const end = header.indexOf(0)
    const name = header.toString('latin1', 0, end < 0 || end > 100 ? 100 : end)
    const octal = /^([0-7]{11})\0$/.exec(header.toString('latin1', 124, 136))?.[1]
    const sizeBytes = octal === undefined ? Number(header.readBigUInt64BE(128)) : Number.parseInt(octal, 8)
    if (!Number.isSafeInteger(sizeBytes) || !header.equals(tarHeader(name, sizeBytes)))
      throw RegistryErrors.PACKAGE_INVALID({ problem: `the header at byte ${this.#position} is not one of a package` })
    return { name, sizeBytes }
  }

  /** The next entry's content. */
  async text(name: string, mostBytes: number): Promise<Buffer> {
    const sizeBytes = await this.#enter(name)
    if (sizeBytes > mostBytes) throw RegistryErrors.PACKAGE_INVALID({ problem: `"${name}" has ${sizeBytes} bytes` })
    const content = await this.#bytes(this.#position, sizeBytes)
    await this.#leave(sizeBytes)
    return content
  }

  /** The next entry's content in pieces. */
  async *content(name: string): AsyncGenerator<Buffer> {
    const sizeBytes = await this.#enter(name)
    for (let done = 0; done < sizeBytes; ) {
      const piece = await this.#bytes(this.#position + done, Math.min(1024 * 1024, sizeBytes - done))
      done += piece.length
      yield piece
    }
    await this.#leave(sizeBytes)
  }

  /** Nothing may come any more. */
  async end(): Promise<void> {
    const rest = await this.#bytes(this.#position, TAR_END.length)
    if (!rest.equals(TAR_END) || this.#position + TAR_END.length !== this.sizeBytes)
      throw RegistryErrors.PACKAGE_INVALID({ problem: 'it does not end where it should' })
  }

  close(): Promise<void> {
    return this.handle.close()
  }

  async #enter(name: string): Promise<number> {
    const entry = await this.peek()
    if (entry?.name !== name)
      throw RegistryErrors.PACKAGE_INVALID({
        problem: `"${name}" is expected and "${(entry?.name ?? 'the end').slice(0, 100)}" comes`,
      })
    this.#position += BLOCK
    return entry.sizeBytes
  }

  async #leave(sizeBytes: number): Promise<void> {
    this.#position += sizeBytes
    const padding = tarPadding(sizeBytes)
    if (!(await this.#bytes(this.#position, padding.length)).equals(padding))
      throw RegistryErrors.PACKAGE_INVALID({ problem: `there are bytes at ${this.#position} that belong to nothing` })
    this.#position += padding.length
  }

  async #bytes(position: number, length: number): Promise<Buffer> {
    if (position + length > this.sizeBytes) throw RegistryErrors.PACKAGE_INVALID({ problem: 'it ends too early' })
    const bytes = Buffer.alloc(length)
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.handle.read(bytes, done, length - done, position + done)
      if (bytesRead === 0) throw RegistryErrors.PACKAGE_INVALID({ problem: 'it became shorter while it was read' })
      done += bytesRead
    }
    return bytes
  }
}
