// bfloat16 is the upper half of a float32: widening is exact, narrowing rounds to the nearest, ties to even.

export function widenBf16(bits: Uint16Array): Float32Array {
  const wide = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i]! << 16
  return new Float32Array(wide.buffer)
}

export function narrowToBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const narrow = new Uint16Array(values.length)
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!
    const isNotANumber = (word & 0x7fffffff) > 0x7f800000
    // Rounding could carry a NaN over into infinity: it is cut off instead, and kept quiet.
    narrow[i] = isNotANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
  return narrow
}
