// ONNX attributes, encoded by hand: a large ensemble has millions of numbers, and as generated messages each whole number would be a
// bigint. Lists are packed, which every reader of protobuf accepts.
import { AttributeProtoSchema, AttributeProto_AttributeType as AttributeType } from '../generated/onnx_pb.js'

const { i, s, floats, ints, strings } = AttributeProtoSchema.field
const NAME = AttributeProtoSchema.field.name.number
const TYPE = AttributeProtoSchema.field.type.number

const VARINT = 0
const LENGTH = 2

export function intAttribute(name: string, value: number): Uint8Array {
  return attribute(name, AttributeType.INT, [varint(i.number * 8 + VARINT), varint(value)])
}

export function textAttribute(name: string, value: string): Uint8Array {
  return attribute(name, AttributeType.STRING, field(s.number, Buffer.from(value)))
}

/** Whole numbers from 0 on. */
export function intsAttribute(name: string, values: ArrayLike<number>): Uint8Array {
  let size = 0
  for (let i = 0; i < values.length; i++) size += varintSize(values[i]!)
  const bytes = new Uint8Array(size)
  let at = 0
  for (let i = 0; i < values.length; i++) at = writeVarint(values[i]!, bytes, at)
  return attribute(name, AttributeType.INTS, field(ints.number, bytes))
}

export function floatsAttribute(name: string, values: ArrayLike<number>): Uint8Array {
  return attribute(name, AttributeType.FLOATS, field(floats.number, floatBytes(values)))
}

/** For each element of `picks` one of two texts: the second where it is true. */
export function pickedTextsAttribute(
  name: string,
  texts: readonly [string, string],
  picks: readonly boolean[],
): Uint8Array {
  const [first, second] = texts.map((text) => Buffer.concat(field(strings.number, Buffer.from(text))))
  let size = 0
  for (const pick of picks) size += pick ? second!.length : first!.length
  const bytes = Buffer.alloc(size)
  let at = 0
  for (const pick of picks) at += (pick ? second! : first!).copy(bytes, at)
  return attribute(name, AttributeType.STRINGS, [bytes])
}

function attribute(name: string, type: AttributeType, value: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat([...field(NAME, Buffer.from(name)), ...value, varint(TYPE * 8 + VARINT), varint(type)]),
  )
}

function field(number: number, bytes: Uint8Array): Uint8Array[] {
  return [varint(number * 8 + LENGTH), varint(bytes.length), bytes]
}

function varint(value: number): Uint8Array {
  const bytes = new Uint8Array(varintSize(value))
  writeVarint(value, bytes, 0)
  return bytes
}

function varintSize(value: number): number {
  let size = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++
  return size
}

function writeVarint(value: number, into: Uint8Array, from: number): number {
  let at = from
  let rest = value
  while (rest >= 128) {
    into[at++] = (rest % 128) | 0x80
    rest = Math.floor(rest / 128)
  }
  into[at++] = rest
  return at
}

function floatBytes(values: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(values.length * 4)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < values.length; i++) view.setFloat32(i * 4, values[i]!, true)
  return bytes
}
