// A model file that cannot be taken over, as plain data: code in threads does not load the error table (80 ms). What is thrown
// here becomes an error of the table where conversions are asked for.

export interface FormatFailures {
  /** The file is damaged, or made to look like what it is not. */
  readonly UNREADABLE: { readonly reason: string }
  /** It is fine, but uses what has no counterpart here. `found` as in "it uses linear trees". */
  readonly UNSUPPORTED: { readonly found: string; readonly remedy: string }
  readonly TOO_LARGE: { readonly what: string; readonly limit: number; readonly actual: number }
}

export class FormatFailure<K extends keyof FormatFailures = keyof FormatFailures> extends Error {
  override readonly name = 'FormatFailure'
  constructor(
    readonly key: K,
    readonly params: FormatFailures[K],
  ) {
    super(`${key} ${JSON.stringify(params)}`)
  }
}

export function unreadable(reason: string): FormatFailure {
  return new FormatFailure('UNREADABLE', { reason })
}

export function unsupported(found: string, remedy: string): FormatFailure {
  return new FormatFailure('UNSUPPORTED', { found, remedy })
}

export function expectAtMost(what: string, limit: number, actual: number): void {
  if (!(actual <= limit)) throw new FormatFailure('TOO_LARGE', { what, limit, actual })
}
