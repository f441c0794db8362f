// The classification extension: in place of an output, the largest elements of each row as text, `value:index` or
// `value:index:label`, the largest first.
import { bfloat16ToNumber, float16ToNumber, MAX_STRINGS, type Tensor } from '../../tensor/index.js'
import { OipErrors } from './errors.js'

/**
 * BYTES [rows, k] for a model with a batch axis, else [k]; `k` is cut to the number of elements. Of equal elements the one with the
 * lower index comes first, and NaN comes last. Labels stand there when there is one for each element. Numbers are written as
 * Triton writes them, floats with six decimals. Throws OIP_CLASSIFICATION_INVALID.
 *
 * @example classify({ name: 'p', datatype: 'FP32', shape: [1, 3], data: Float32Array.of(0.1, 0.7, 0.2) }, 2, undefined, true)
 * // shape [1, 2], data "0.700000:1" and "0.200000:2"
 */
export function classify(tensor: Tensor, k: number, labels: readonly string[] | undefined, isBatched: boolean): Tensor {
  const { name, datatype, shape, data } = tensor
  if (datatype === 'BYTES')
    throw OipErrors.CLASSIFICATION_INVALID({ output: name, reason: 'it is BYTES, which have no order' })
  const rows = isBatched ? (shape[0] ?? 1) : 1
  const size = rows === 0 ? 0 : data.length / rows
  const classes = Math.min(k, size)
  if (rows * classes > MAX_STRINGS)
    throw OipErrors.CLASSIFICATION_INVALID({
      output: name,
      reason: `${rows} rows with ${classes} elements each are more than ${MAX_STRINGS}; ask for fewer`,
    })
  const values = datatype === 'FP16' || datatype === 'BF16' ? decoded(tensor) : (data as Float64Array)
  const isFloat = datatype.startsWith('FP') || datatype === 'BF16'
  const names = labels?.length === size ? labels : undefined
  const texts: Buffer[] = []
  const best = new Int32Array(classes)
  for (let row = 0; row < rows; row++) {
    const from = row * size
    largest(values, from, size, best)
    for (let i = 0; i < classes; i++) {
      const index = best[i]!
      const value = values[from + index]!
      const label = names === undefined ? '' : `:${names[index]!}`
      texts.push(Buffer.from(`${isFloat ? sixDecimals(value) : value}:${index}${label}`))
    }
  }
  return { name, datatype: 'BYTES', shape: isBatched ? [rows, classes] : [classes], data: texts }
}

/**
 * Puts the indices of the largest elements into `best`, in order: a heap of those found so far with the least of them on top, so
 * that a long row costs one comparison for nearly every element. Elements may be bigints.
 */
function largest(values: ArrayLike<number>, from: number, size: number, best: Int32Array): void {
  const k = best.length
  if (k === 0) return
  const comesBefore = (a: number, b: number): boolean => {
    const x = values[from + a]!
    const y = values[from + b]!
    if (x > y) return true
    if (x < y) return false
    // Equal, or one of them is NaN.
    const isNumber = !Number.isNaN(x)
    return isNumber === !Number.isNaN(y) ? a < b : isNumber
  }
  const sink = (start: number, length: number): void => {
    let at = start
    for (;;) {
      let last = at
      for (let child = 2 * at + 1; child <= 2 * at + 2 && child < length; child++)
        if (comesBefore(best[last]!, best[child]!)) last = child
      if (last === at) return
      swap(best, at, last)
      at = last
    }
  }
  for (let i = 0; i < k; i++) best[i] = i
  for (let i = (k >> 1) - 1; i >= 0; i--) sink(i, k)
  for (let i = k; i < size; i++) {
    if (!comesBefore(i, best[0]!)) continue
    best[0] = i
    sink(0, k)
  }
  for (let end = k - 1; end > 0; end--) {
    swap(best, 0, end)
    sink(0, end)
  }
}

function swap(list: Int32Array, a: number, b: number): void {
  const kept = list[a]!
  list[a] = list[b]!
  list[b] = kept
}

function decoded({ datatype, data }: Tensor): Float64Array {
  const toNumber = datatype === 'FP16' ? float16ToNumber : bfloat16ToNumber
  return Float64Array.from(data as Uint16Array, toNumber)
}

/** C's `%f`: exact digits however large the number, and halves of the last decimal rounded to even. */
function sixDecimals(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const size = Math.abs(value)
  if (size === Number.POSITIVE_INFINITY) return `${sign}inf`
  if (size >= 1e21) return `${sign}${BigInt(size)}.000000`
  const text = size.toFixed(6)
  // Only odd multiples of 1/128 lie in the middle between two texts; toFixed takes the larger one.
  const isHalf = (size * 128) % 2 === 1
  if (!isHalf) return sign + text
  const digit = Number(text.at(-1))
  return `${sign}${text.slice(0, -1)}${digit % 2 === 1 ? digit - 1 : digit}`
}
