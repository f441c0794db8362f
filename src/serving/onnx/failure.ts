// A failure as plain data, for code that runs in threads: importing the error table there would load the logger and the
// metrics library too, about 80 ms of every thread's start (2026-11-22). The main side turns it into the table's error.
import type { OnnxErrors } from './errors.js'

type Table = typeof OnnxErrors
type ParamsOf<K extends keyof Table> = Omit<NonNullable<Parameters<Table[K]>[0]>, 'model'>

/** A code of the table without its prefix, and its parameters except for `model`. */
export type Failure = { [K in keyof Table]: { readonly key: K; readonly params: ParamsOf<K> } }[keyof Table]

export class OnnxFailure extends Error {
  override readonly name = 'OnnxFailure'
  constructor(readonly failure: Failure) {
    super(`${failure.key} ${JSON.stringify(failure.params)}`)
  }
}

/** `throw fail('FILE_CORRUPT', { reason, sizeBytes })`. */
export function fail<K extends keyof Table>(key: K, params: ParamsOf<K>): OnnxFailure {
  return new OnnxFailure({ key, params } as unknown as Failure)
}

/** The message of anything thrown, on one line and without a full stop, to stand inside a sentence. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.trim().replace(/\s+/g, ' ').replace(/\.$/, '')
}
