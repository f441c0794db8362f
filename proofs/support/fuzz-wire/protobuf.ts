// Protocol Buffers written by hand, so that every field can be written wrong: varints too long, lengths that lie, wire types that
// do not fit.
import { below, chance, HOSTILE_INTEGERS, pick, type Random, randomBytes } from './random.js'

export function varint(value: bigint): Buffer {
  let rest = BigInt.asUintN(64, value)
  const bytes: number[] = []
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

function tag(field: number, wireType: number): Buffer {
  return varint(BigInt(field * 8 + wireType))
}

/** A field with a length: bytes, a string, a message, or packed numbers. */
export function sized(field: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([tag(field, 2), varint(BigInt(bytes.length)), bytes])
}

export function number(field: number, value: bigint): Buffer {
  return Buffer.concat([tag(field, 0), varint(value)])
}

export function packed(field: number, values: readonly bigint[]): Buffer {
  return sized(field, Buffer.concat(values.map(varint)))
}

/** One more field, of a kind that no writer of Protocol Buffers would write. */
export function strangeField(random: Random): Buffer {
  const field = pick(random, [0, 1, 2, 5, 7, 15, 16, 1000, 2 ** 28])
  switch (random.uint32() % 8) {
    case 0:
      // Eleven bytes that all say that another follows.
      return Buffer.concat([tag(field, 0), Buffer.alloc(11, 0xff)])
    case 1:
      // Right, and longer than it need be.
      return Buffer.concat([tag(field, 0), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x00])])
    case 2:
      return Buffer.concat([
        tag(field, 2),
        varint(pick(random, HOSTILE_INTEGERS)),
        randomBytes(random, below(random, 9)),
      ])
    case 3:
      return Buffer.concat([tag(field, pick(random, [3, 4, 6, 7])), randomBytes(random, below(random, 9))])
    case 4:
      // Groups in groups, none of which ends.
      return Buffer.alloc(chance(random, 0.1) ? 100_000 : 200, 0x0b)
    case 5:
      return sized(field, randomBytes(random, below(random, 64)))
    case 6: {
      // A message in a message in a message.
      let bytes: Buffer = Buffer.alloc(0)
      for (let depth = 0; depth < 200; depth++) bytes = sized(5, bytes)
      return bytes
    }
    default:
      return number(field, pick(random, HOSTILE_INTEGERS))
  }
}
