// What makes two requests the same. The parts are laid out one after another, each with its length, so that different requests
// cannot have the same bytes; up to 256 of these bytes are the key itself, and of more it is their SHA-256.
//
// A 128-bit hash that is not cryptographic would not do: collisions of xxHash can be made without knowing its seed, and one
// tenant could plant an answer for another's request. Exact bytes are also the cheapest: 0.2 µs for 48 bytes, 0.5 µs for 256,
// where SHA-256 takes 0.4 to 0.5 (and is 1 ms for a megabyte, hence the limit).
//
// The version is no part of it: each version keeps its own entries, and last known answers are looked up across versions.
import { hash as digestOf } from 'node:crypto'
import type { Tensor, TensorMap } from '../../tensor/index.js'
import type { CachePolicy, LeafInput } from '../types.js'
import { DATATYPE_CODES } from './datatype-codes.js'

/** Requests with more bytes are not cached: hashing them would hold the event loop. */
export const MAX_KEY_BYTES = 2 * 1024 * 1024
const EXACT_BYTES = 256
const FIRST_BYTES = 4096

const TENSORS = 1
const REQUEST = 2
const TENANT = 256
const SOME_OUTPUTS = 512
const RAW_TEXT = 1024

/** Names in the order in which they are written, and their bytes, worked out once for each set of names. */
interface Layout {
  readonly names: readonly string[]
  readonly bytes: Uint8Array
}

/** One per process: it writes each key over the last. */
export class KeyWriter {
  #bytes!: Buffer
  #words!: Uint32Array
  #floats!: Float32Array
  #doubles!: Float64Array
  #integers!: BigInt64Array
  /** Bytes written so far, a multiple of 8; beyond the limit nothing more is written. */
  #at = 0
  #layout: Layout = { names: [], bytes: new Uint8Array(0) }

  constructor() {
    this.#allocate(FIRST_BYTES)
  }

  /** 32 bits of the last key, for the sketch; different in each process so that nobody can aim at it. */
  hash = 0

  /** The key of a request, undefined when it is too large to be cached. Two requests have the same key only if they are the same. */
  write(policy: CachePolicy, input: LeafInput, seed: number): string | undefined {
    const raw = policy.key === 'request' ? input.rawInputs : undefined
    const isTenants = policy.scope === 'tenant'
    this.#at = 8
    this.#words[0] =
      (raw === undefined ? TENSORS : REQUEST) |
      (isTenants ? TENANT : 0) |
      (input.outputs === undefined ? 0 : SOME_OUTPUTS) |
      (typeof raw === 'string' ? RAW_TEXT : 0)
    this.#words[1] = input.tensors.size
    if (isTenants) this.#text(input.tenant ?? '')
    if (input.outputs !== undefined) this.#texts(input.outputs)
    if (raw === undefined) this.#tensors(input.tensors)
    else this.#raw(raw, input)
    return this.#at > MAX_KEY_BYTES ? undefined : this.#finish(seed)
  }

  #finish(seed: number): string {
    const length = this.#at
    if (length > EXACT_BYTES) {
      const digest = digestOf('sha256', this.#bytes.subarray(0, length), 'binary')
      this.hash = mix(seed ^ hashOf(digest)) >>> 0
      return digest
    }
    let hash = seed
    const words = this.#words
    for (let i = 0; i < length >> 2; i++) hash = mix(hash ^ words[i]!)
    this.hash = hash >>> 0
    return this.#bytes.toString('latin1', 0, length)
  }

  #tensors(tensors: TensorMap): void {
    const { names, bytes } = this.#layoutOf(tensors)
    this.#put(bytes)
    for (let i = 0; i < names.length; i++) this.#tensor(tensors.get(names[i]!)!)
  }

  #tensor({ datatype, shape, data }: Tensor): void {
    if (!this.#room(16 + 8 * shape.length)) return
    let at = this.#at >> 2
    this.#words[at++] = DATATYPE_CODES[datatype]
    this.#words[at++] = shape.length
    for (let i = 0; i < shape.length; i++) {
      this.#words[at++] = shape[i]!
      // A size has up to 53 bits.
      this.#words[at++] = shape[i]! / 0x1_0000_0000
    }
    this.#at = at << 2
    if (Array.isArray(data)) {
      this.#number(data.length)
      for (let i = 0; i < data.length; i++) {
        this.#number(data[i]!.length)
        this.#put(data[i]!)
      }
      return
    }
    this.#number(data.byteLength)
    if (!this.#room(data.byteLength)) return
    // A set from the same kind of array copies bytes, NaN payloads and -0 included.
    if (data instanceof Float32Array) this.#floats.set(data, this.#at >> 2)
    else if (data instanceof Float64Array) this.#doubles.set(data, this.#at >> 3)
    else if (data instanceof BigInt64Array) this.#integers.set(data, this.#at >> 3)
    else this.#bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), this.#at)
    this.#advance(data.byteLength)
  }

  /** The inputs as they arrived, and the tensors they became but for their values. */
  #raw(raw: Uint8Array | string, { tensors, protocol }: LeafInput): void {
    this.#text(protocol ?? '')
    const { names, bytes } = this.#layoutOf(tensors)
    this.#put(bytes)
    for (let i = 0; i < names.length; i++) {
      const { datatype, shape } = tensors.get(names[i]!)!
      this.#number(DATATYPE_CODES[datatype])
      this.#number(shape.length)
      for (let axis = 0; axis < shape.length; axis++) this.#number(shape[axis]!)
    }
    if (typeof raw === 'string') this.#text(raw)
    else {
      this.#number(raw.length)
      this.#put(raw)
    }
  }

  #texts(texts: readonly string[]): void {
    this.#number(texts.length)
    for (let i = 0; i < texts.length; i++) this.#text(texts[i]!)
  }

  /** UTF-16, in which every string differs from every other: UTF-8 has one replacement for all halves of pairs. */
  #text(text: string): void {
    const sizeBytes = 2 * text.length
    this.#number(sizeBytes)
    if (!this.#room(sizeBytes)) return
    this.#bytes.write(text, this.#at, sizeBytes, 'utf16le')
    this.#advance(sizeBytes)
  }

  #number(value: number): void {
    if (!this.#room(8)) return
    this.#doubles[this.#at >> 3] = value
    this.#at += 8
  }

  #put(bytes: Uint8Array): void {
    if (!this.#room(bytes.length)) return
    this.#bytes.set(bytes, this.#at)
    this.#advance(bytes.length)
  }

  /** Past so many bytes, and zeros up to the next multiple of 8. */
  #advance(sizeBytes: number): void {
    const end = this.#at + sizeBytes
    this.#at = (end + 7) & ~7
    for (let i = end; i < this.#at; i++) this.#bytes[i] = 0
  }

  /** False when the key is beyond its limit, from then on. */
  #room(sizeBytes: number): boolean {
    const end = this.#at + sizeBytes + 8
    if (end > MAX_KEY_BYTES) {
      this.#at = MAX_KEY_BYTES + 8
      return false
    }
    if (end > this.#bytes.length) {
      const old = this.#bytes
      this.#allocate(2 ** Math.ceil(Math.log2(end)))
      this.#bytes.set(old)
    }
    return true
  }

  #allocate(sizeBytes: number): void {
    const buffer = new ArrayBuffer(sizeBytes)
    this.#bytes = Buffer.from(buffer)
    this.#words = new Uint32Array(buffer)
    this.#floats = new Float32Array(buffer)
    this.#doubles = new Float64Array(buffer)
    this.#integers = new BigInt64Array(buffer)
  }

  /** By name, so that the order in which a caller writes inputs does not matter, nor a version's signature. */
  #layoutOf(tensors: TensorMap): Layout {
    if (!isOf(this.#layout, tensors)) {
      const names = [...tensors.keys()].sort()
      const text = JSON.stringify(names)
      const bytes = new Uint8Array(2 * text.length + 8)
      new DataView(bytes.buffer).setFloat64(0, text.length, true)
      Buffer.from(bytes.buffer).write(text, 8, 'utf16le')
      this.#layout = { names, bytes }
    }
    return this.#layout
  }
}

function isOf({ names }: Layout, tensors: TensorMap): boolean {
  if (names.length !== tensors.size) return false
  for (let i = 0; i < names.length; i++) if (!tensors.has(names[i]!)) return false
  return true
}

/** The first 32 bits of a digest. */
function hashOf(digest: string): number {
  let bits = 0
  for (let i = 0; i < 4; i++) bits = (bits << 8) | digest.charCodeAt(i)
  return bits
}

function mix(hash: number): number {
  const mixed = Math.imul(hash, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

/** The same request at the version that `prefix` stands for, for processes to share: SHA-256 in base64url. */
export function sharedKey(prefix: Uint8Array, key: string): string {
  return digestOf('sha256', Buffer.concat([prefix, Buffer.from(key, 'latin1')]), 'base64url')
}
