// Error tables: each domain declares its codes once, with everything a face needs to answer.
// The code is the contract; it crosses HTTP, worker threads and the CLI unchanged.

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** One row of an error table. Status, retry and level have no default: each code states them. */
export interface ErrorRow<P> {
  /** HTTP status a face answers with. */
  readonly status: number
  /** Whether the same request can succeed when sent again unchanged. */
  readonly retry: boolean
  readonly level: LogLevel
  /** What was wrong, what arrived, what to do. */
  readonly message: (params: P) => string
}

/** An error made by a table. Match on `code`, never on the message. */
export class HeadraceError extends Error {
  override readonly name = 'HeadraceError'
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly retry: boolean,
    readonly level: LogLevel,
    /** What the message was made from; `retryAfterMs` there becomes the Retry-After header. */
    readonly params: Readonly<Record<string, unknown>>,
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause })
  }

  toJSON(): SerializedError {
    const { code, message, status, retry, level, params } = this
    return { code, message, status, retry, level, params }
  }
}

/** A HeadraceError as plain data, for postMessage, IPC and HTTP. */
export interface SerializedError {
  readonly code: string
  readonly message: string
  readonly status: number
  readonly retry: boolean
  readonly level: LogLevel
  readonly params: Readonly<Record<string, unknown>>
}

export function deserializeError(error: SerializedError): HeadraceError {
  return new HeadraceError(error.code, error.message, error.status, error.retry, error.level, error.params)
}

// A message without parameters infers `unknown`: its factory takes none.
type Factory<P> = unknown extends P
  ? (params?: Readonly<Record<string, never>>, cause?: unknown) => HeadraceError
  : (params: P, cause?: unknown) => HeadraceError

type Rows = Record<string, ErrorRow<never>>
type ParamsOf<R> = R extends { readonly message: (params: infer P) => string } ? P : never

export type ErrorTable<T extends Rows> = { readonly [K in keyof T]: Factory<ParamsOf<T[K]>> }

const tables = new Map<string, Rows>()

/**
 * Declares a domain's errors. `defineErrors('LOG', { FULL: {...} })` gives `LogErrors.FULL({...})`, whose code is `LOG_FULL`.
 * A message without parameters is written `() => '...'`.
 */
export function defineErrors<const T extends Rows>(prefix: string, rows: T): ErrorTable<T> {
  tables.set(prefix, rows)
  const table: Record<string, Factory<never>> = {}
  for (const [name, row] of Object.entries(rows)) {
    const make = row.message as (params: unknown) => string
    table[name] = ((params: Record<string, unknown> = {}, cause?: unknown) =>
      new HeadraceError(
        `${prefix}_${name}`,
        make(params),
        row.status,
        row.retry,
        row.level,
        params,
        cause,
      )) as Factory<never>
  }
  return table as ErrorTable<T>
}

/** Every code declared so far with its status and retry; the documentation test reads it. */
export function declaredErrors(): { code: string; status: number; retry: boolean; level: LogLevel }[] {
  return [...tables].flatMap(([prefix, rows]) =>
    Object.entries(rows).map(([name, { status, retry, level }]) => ({
      code: `${prefix}_${name}`,
      status,
      retry,
      level,
    })),
  )
}

export const CoreErrors = defineErrors('CORE', {
  INTERNAL: {
    status: 500,
    retry: false,
    level: 'error',
    message: () => 'Something went wrong inside the server. The log has the details under this request id.',
  },
})

/** Any thrown value as a HeadraceError; an unknown one becomes CORE_INTERNAL with its cause kept. */
export function toHeadraceError(error: unknown): HeadraceError {
  return error instanceof HeadraceError ? error : CoreErrors.INTERNAL({}, error)
}
