// What the author of a script version writes. It changes nothing at run time: it types the function by the tensors it declares.
import type { DataOf, DataType } from '../../tensor/index.js'

/** One tensor. A datatype alone is one value a row: shape [-1]. */
export type ScriptTensor =
  | DataType
  | {
      readonly datatype: DataType
      /** With the rows first, as `headrace models show` prints it: [-1], [-1, 1], [-1, 30]. */
      readonly shape: readonly number[]
      /** Names for the columns of an input of shape [-1, n]: `row` then gets an object instead of a list. */
      readonly columns?: readonly string[]
    }
export type ScriptTensors = Readonly<Record<string, ScriptTensor>>

type DatatypeOf<T> = T extends DataType ? T : T extends { readonly datatype: infer D extends DataType } ? D : never
type ElementOf<D> = D extends 'BOOL' ? boolean : D extends 'BYTES' ? string : number
type IsScalar<T> = T extends DataType
  ? true
  : T extends { readonly shape: readonly [-1] | readonly [-1, 1] }
    ? true
    : false
type ArrayOf<D> = D extends 'BYTES' ? string[] : D extends DataType ? DataOf[D] : never

/** One row: a value by input, a list for an input with several, an object for one with `columns`. 64-bit integers are exact to 2^53. */
export type ScriptRow<I extends ScriptTensors> = {
  readonly [K in keyof I]: I[K] extends { readonly columns: infer C extends readonly string[] }
    ? { readonly [N in C[number]]: ElementOf<DatatypeOf<I[K]>> }
    : IsScalar<I[K]> extends true
      ? ElementOf<DatatypeOf<I[K]>>
      : readonly ElementOf<DatatypeOf<I[K]>>[]
}

export type ScriptRowAnswer<O extends ScriptTensors> = {
  readonly [K in keyof O]: IsScalar<O[K]> extends true
    ? ElementOf<DatatypeOf<O[K]>>
    : ArrayLike<ElementOf<DatatypeOf<O[K]>>>
}

/** Row-major elements; BOOL is 0 or 1, FP16 and BF16 are bit patterns, 64-bit integers are bigint, BYTES is text. */
export interface ScriptData<D> {
  readonly shape: readonly number[]
  readonly data: ArrayOf<D>
}

export interface ScriptBatch<I extends ScriptTensors> {
  /** 1 for a script whose tensors have no rows. */
  readonly rows: number
  readonly inputs: { readonly [K in keyof I]: ScriptData<DatatypeOf<I[K]>> }
}

/** The elements of each output; with a shape where the declared one leaves more open than the rows. */
export type ScriptBatchAnswer<O extends ScriptTensors> = {
  readonly [K in keyof O]: ArrayOf<DatatypeOf<O[K]>> | ScriptData<DatatypeOf<O[K]>>
}

interface ScriptTerms<I extends ScriptTensors, O extends ScriptTensors> {
  readonly inputs: I
  readonly outputs: O
  /** Class names in the order of the class probabilities; those of model.json win. */
  readonly labels?: readonly string[]
  /** A run that takes longer is stopped, milliseconds; default 1,000, and at most the `timeoutMs` of model.json. */
  readonly timeoutMs?: number
}

/** Exactly one of `row` and `run`. What either throws fails the request, with the message. */
export type Script<I extends ScriptTensors = ScriptTensors, O extends ScriptTensors = ScriptTensors> = ScriptTerms<
  I,
  O
> &
  (
    | {
        /** Answers for one row; called for each. */
        row(features: ScriptRow<I>): ScriptRowAnswer<O> | Promise<ScriptRowAnswer<O>>
        readonly run?: never
      }
    | {
        /** Answers for all rows of a batch at once. It may keep or change the arrays it is given. */
        run(batch: ScriptBatch<I>): ScriptBatchAnswer<O> | Promise<ScriptBatchAnswer<O>>
        readonly row?: never
      }
  )

/**
 * A model version written in TypeScript, the default export of `models/<model>/<version>/model.ts`: rules that stand in for a
 * model that failed, or a computation around no model at all. Use ONNX for what was trained.
 *
 * @example
 * export default defineScript({
 *   inputs: { amount: 'FP32', country: 'BYTES' },
 *   outputs: { label: 'INT64' },
 *   row: ({ amount, country }) => ({ label: amount > 500 && country !== 'DE' ? 1 : 0 }),
 * })
 */
export function defineScript<const I extends ScriptTensors, const O extends ScriptTensors>(
  script: Script<I, O>,
): Script<I, O> {
  return script
}
