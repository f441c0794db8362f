// What a call brings to an endpoint whose versions have feature services: entity keys, and values by name that no version's datatypes
// were applied to yet. Rows of one call that are predictions of their own share it, and with it one reading of the features.
import type { EntityValue, ReadPlan, ServedFeatures } from '../features/index.js'
import { type FeatureValue, type TensorMap, tensorColumn } from '../tensor/index.js'

/** Per row; undefined: the row brings none. */
export type GivenColumn = readonly (FeatureValue | undefined)[]

export type Reading = ServedFeatures | Promise<ServedFeatures>

export class Given {
  readonly #columns: Map<string, GivenColumn>
  readonly #readings = new Map<ReadPlan, Reading>()

  constructor(
    readonly rows: number,
    readonly keys: ReadonlyMap<string, readonly (EntityValue | undefined)[]>,
    columns: ReadonlyMap<string, GivenColumn>,
    /** Values that came as tensors; `columns` are made of them when somebody asks. */
    readonly tensors: TensorMap,
  ) {
    this.#columns = columns as Map<string, GivenColumn>
  }

  column(name: string): GivenColumn | undefined {
    const found = this.#columns.get(name)
    if (found !== undefined || this.tensors.size === 0) return found
    const tensor = this.tensors.get(name)
    if (tensor === undefined) return undefined
    const column = tensorColumn(tensor, this.rows)
    this.#columns.set(name, column)
    return column
  }

  /** Rows as text: the same for the same keys and values. */
  text(first: number, rows: number): string {
    for (const name of this.tensors.keys()) this.column(name)
    const part = (columns: ReadonlyMap<string, GivenColumn | readonly (EntityValue | undefined)[]>) =>
      [...columns]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, column]) => [name, column.slice(first, first + rows)])
    return JSON.stringify([part(this.keys), part(this.#columns)], (_, value: unknown) =>
      typeof value === 'bigint' ? `${value}n` : value === undefined ? '' : Number.isNaN(value) ? 'NaN' : value,
    )
  }

  /** What a plan gives for it: read once, however many rows ask, and failed once for all of them. */
  read(plan: ReadPlan, read: (given: Given, plan: ReadPlan) => Reading): Reading {
    let reading = this.#readings.get(plan)
    if (reading === undefined) {
      try {
        reading = read(this, plan)
      } catch (error) {
        reading = Promise.reject(error)
      }
      this.#readings.set(plan, reading)
      if (reading instanceof Promise)
        reading.then(
          (served) => this.#readings.set(plan, served),
          () => {},
        )
    }
    return reading
  }

  /** What a plan can make use of. */
  forPlan({ features, request }: ReadPlan): ReadonlyMap<string, GivenColumn> {
    if (this.tensors.size === 0) return this.#columns
    const given = new Map<string, GivenColumn>()
    for (const { name } of [...features, ...request]) {
      const column = this.column(name)
      if (column !== undefined) given.set(name, column)
    }
    return given
  }
}
