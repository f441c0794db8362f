// Rows of named values as columns, for a reader that does not know yet which tensors they become: some names may be missing in some rows.
import { didYouMean } from '../core/index.js'
import { TensorErrors } from './errors.js'
import { bfloat16ToNumber, float16ToNumber } from './half.js'
import type { FeatureValue } from './rows.js'
import type { Tensor } from './tensor.js'

/** The names that may come; plain data. */
export interface OpenRows {
  readonly layout: 'open'
  readonly names: ReadonlySet<string>
  /** The name that a row goes by which is a list and has none; undefined: every value needs its name. */
  readonly whole: string | undefined
}

export type Columns = Map<string, (FeatureValue | undefined)[]>

/** `put` each value of a row, then `endRow`; the columns are complete when `finish` gives them. A row may be empty. */
export class ColumnBuilder {
  readonly #names: ReadonlySet<string>
  readonly #columns: Columns = new Map()
  #row = 0

  constructor({ names }: OpenRows) {
    this.#names = names
  }

  /** Throws TENSOR_FEATURE_UNKNOWN, TENSOR_FEATURE_DUPLICATE. */
  put(name: string, value: FeatureValue): void {
    let column = this.#columns.get(name)
    if (column === undefined) {
      if (!this.#names.has(name)) {
        const known = [...this.#names]
        throw TensorErrors.FEATURE_UNKNOWN({
          row: this.#row,
          feature: name.slice(0, 100),
          suggestion: didYouMean(name, known),
          known,
        })
      }
      column = []
      this.#columns.set(name, column)
    }
    if (column.length > this.#row) throw TensorErrors.FEATURE_DUPLICATE({ row: this.#row, feature: name })
    while (column.length < this.#row) column.push(undefined)
    column.push(value)
  }

  endRow(): void {
    this.#row++
  }

  get rows(): number {
    return this.#row
  }

  finish(): Columns {
    for (const column of this.#columns.values()) while (column.length < this.#row) column.push(undefined)
    return this.#columns
  }
}

/** A tensor's values row by row: the elements of a row as a list, or the one element it has. */
export function tensorColumn(tensor: Tensor, rows: number): FeatureValue[] {
  const { data } = tensor
  const width = rows === 0 ? 0 : data.length / rows
  const column = new Array<FeatureValue>(rows)
  for (let row = 0; row < rows; row++) {
    if (width === 1) column[row] = element(tensor, row)
    else {
      const list = new Array<FeatureValue>(width)
      for (let i = 0; i < width; i++) list[i] = element(tensor, row * width + i)
      column[row] = list
    }
  }
  return column
}

function element({ datatype, data }: Tensor, at: number): FeatureValue {
  switch (datatype) {
    case 'BYTES':
      return (data as Buffer[])[at]!.toString('utf8')
    case 'BOOL':
      return (data as Uint8Array)[at] !== 0
    case 'FP16':
      return float16ToNumber((data as Uint16Array)[at]!)
    case 'BF16':
      return bfloat16ToNumber((data as Uint16Array)[at]!)
    case 'INT64':
    case 'UINT64':
      return narrow((data as BigInt64Array)[at]!)
    default:
      return (data as Float64Array)[at]!
  }
}

function narrow(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
