// How the events of a source become rows and window events of a table.
import { HeadraceError } from '../../core/index.js'
import type { KeyState, WindowEngine, WindowEvent } from '../aggregate/types.js'
import { checkValue } from '../check-value.js'
import type { CompiledView, CompiledWindowView } from '../compiled.js'
import { encodeKey } from '../entity-key.js'
import type { OnlineRow, OnlineStore, OnlineTable, PositionWrite, StateWrite } from '../online/types.js'
import type { LoggedEvent, StreamEvent } from './types.js'

/** Undefined when the event names no entity of the view: it is then not about any. */
export function keyOf(view: CompiledView, event: StreamEvent): string | undefined {
  try {
    return encodeKey(view.keys, (name) => event.row[name])
  } catch (error) {
    if (error instanceof HeadraceError && error.code === 'FEATURE_KEY_MISSING') return undefined
    throw error
  }
}

/** Windows are never asked about moments further back than this: a request's moment is taken before it is read. */
const READ_SLACK_MS = 60_000

export interface Fed {
  /** Events that were in already, by their id. */
  readonly duplicates: readonly LoggedEvent[]
}

const NOTHING: Fed = { duplicates: [] }

/**
 * Takes events into a table and, in the same step, notes how far its stream has been taken in. Events are in the order of their offsets;
 * those of one key have one writer at a time, which is the caller's to see to.
 */
export async function feedTable(
  store: OnlineStore,
  engineOf: (view: CompiledWindowView) => WindowEngine,
  table: OnlineTable,
  events: readonly LoggedEvent[],
  position: PositionWrite,
  nowMs: number,
): Promise<Fed> {
  const { view } = table
  if (view.kind === 'rows') {
    const rows: OnlineRow[] = []
    for (const event of events) {
      const key = keyOf(view, event)
      if (key === undefined) continue
      const values = view.features.map(({ type, column }) => checkValue(type, event.row[column] ?? null))
      rows.push({ key, eventMs: event.eventMs, knownMs: event.knownMs, values })
    }
    // Newer wins, so rows that are written again after a crash change nothing.
    if (rows.length > 0) await store.writeRows(table, rows)
    await store.writeStates(table, [], position)
    return NOTHING
  }
  const byKey = new Map<string, LoggedEvent[]>()
  for (const event of events) {
    const key = keyOf(view, event)
    if (key === undefined) continue
    const own = byKey.get(key)
    if (own) own.push(event)
    else byKey.set(key, [event])
  }
  const keys = [...byKey.keys()]
  const states = keys.length === 0 ? [] : await store.readStates(table, keys)
  const engine = engineOf(view)
  // Of events that waited in the log, later ones were known long before now: their ids must still be recognised.
  const settledMs = events.reduce((earliest, { knownMs }) => Math.min(earliest, knownMs), nowMs) - READ_SLACK_MS
  const duplicates: LoggedEvent[] = []
  const writes: StateWrite[] = keys.map((key, i) => {
    const state: KeyState = states[i] ?? engine.create()
    for (const event of byKey.get(key)!) {
      if (state.add(windowEvent(view, event)) === 'duplicate') duplicates.push(event)
    }
    return { key, state: state.evict(settledMs) ? undefined : state }
  })
  await store.writeStates(table, writes, position)
  return { duplicates }
}

function windowEvent(view: CompiledWindowView, { eventMs, knownMs, id, row }: StreamEvent): WindowEvent {
  const { columns } = view
  const values = new Array(columns.length)
  for (let i = 0; i < columns.length; i++) values[i] = row[columns[i]!] ?? null
  return { eventMs, knownMs, id, values }
}
