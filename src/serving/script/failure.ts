// A failure as plain data, for code that runs in the thread: importing the error table there would load the logger and the
// metrics library too. The main side turns it into the table's error.
import type { ScriptErrors } from './errors.js'

type Table = typeof ScriptErrors
type ParamsOf<K extends keyof Table> = Omit<NonNullable<Parameters<Table[K]>[0]>, 'model'>

/** A code of the table without its prefix, and its parameters except for `model`. */
export type Failure = { [K in keyof Table]: { readonly key: K; readonly params: ParamsOf<K> } }[keyof Table]

export class ScriptFailure extends Error {
  override readonly name = 'ScriptFailure'
  constructor(readonly failure: Failure) {
    super(`${failure.key} ${JSON.stringify(failure.params)}`)
  }
}

/** `throw fail('INVALID', { reason })`. */
export function fail<K extends keyof Table>(key: K, params: ParamsOf<K>): ScriptFailure {
  return new ScriptFailure({ key, params } as unknown as Failure)
}

/** What was thrown and where in the script, on one line and without a full stop, to stand inside a sentence. */
export function reasonOf(error: unknown, file?: string): string {
  const text =
    error instanceof Error ? `${error.name === 'Error' ? '' : `${error.name}: `}${error.message}` : String(error)
  const line = text.trim().replace(/\s+/g, ' ').replace(/\.$/, '').slice(0, 500)
  const at = file !== undefined && error instanceof Error ? placeIn(file, error.stack ?? '') : undefined
  return at === undefined ? line : `${line} (line ${at})`
}

function placeIn(file: string, stack: string): string | undefined {
  const from = stack.indexOf(`${file}:`)
  return from < 0 ? undefined : /^\d+/.exec(stack.slice(from + file.length + 1))?.[0]
}
