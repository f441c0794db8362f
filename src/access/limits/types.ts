// What processes ask of the one that owns the data folder about limits. Blocks are handed out, so that a process asks rarely; what it
// does not use goes back.

/** Rows, by day, caller and endpoint. */
export interface UsageCount {
  readonly day: string
  /** Key id, or the issuer and subject of a token. */
  readonly caller: string
  readonly endpoint: string
  readonly predictions: number
  readonly rows: number
}

export interface RowsWanted {
  readonly key: string
  readonly day: string
  readonly limit: number
  /** At least so many, or none. */
  readonly need: number
}

export interface RequestsWanted {
  readonly key: string
  readonly perSecond: number
  readonly burst: number
  readonly want: number
}

export interface RequestsGranted {
  readonly granted: number
  /** Until there is one, when none was granted. */
  readonly retryAfterMs: number
}

export interface Limits {
  /** Rows of a day's quota, reserved for whoever asks: 0, or `need` and some more. */
  reserveRows(wanted: RowsWanted): Promise<number>
  giveBackRows(key: string, day: string, rows: number): Promise<void>
  takeRequests(wanted: RequestsWanted): Promise<RequestsGranted>
  count(counts: readonly UsageCount[]): Promise<void>
}

/** Where the rows of a day that are spoken for are counted. */
export interface QuotaLedger {
  reserve(wanted: RowsWanted): Promise<number>
  /** Also to take more than there is: what was used while the ledger could not be reached. */
  add(key: string, day: string, rows: number): Promise<void>
}

/** Of what is left a process gets a part, so that others find some too; with the last rows the parts are single rows. */
const PART = 16
const MAX_BLOCK_ROWS = 10_000

/** How many rows to hand out of `left` to one that needs `need`. */
export function blockOf(left: number, need: number): number {
  if (left < need) return 0
  return need + Math.min(MAX_BLOCK_ROWS, Math.floor((left - need) / PART))
}
