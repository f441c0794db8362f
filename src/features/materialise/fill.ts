// Reads a view's batch source into a table, in the order of keys. The last key that is in is noted in the online store together with what was
// written up to it, so that a run that was killed goes on behind it: nothing is left out and, for windows, nothing is in twice.
import type { Platform } from '../../core/index.js'
import type { KeyState, WindowEngine } from '../aggregate/types.js'
import type { CompiledRowView, CompiledWindowView } from '../compiled.js'
import type { HistoryEvent, OfflineStore } from '../offline/types.js'
import type { OnlineStore, OnlineTable, StateWrite } from '../online/types.js'
import { checkRows, checkViewRows, sourceRules } from '../quality/row-rules.js'
import type { RowBreach } from '../quality/types.js'
import type { Quarantine } from '../stream/types.js'
import type { Value } from '../value.js'

export interface Filling {
  readonly platform: Platform
  readonly offline: Pick<OfflineStore, 'newestRows' | 'events'>
  readonly store: OnlineStore
  readonly quarantine: Pick<Quarantine, 'put'>
  readonly engineOf: (view: CompiledWindowView) => WindowEngine
  readonly table: OnlineTable
  /** Distinguishes the notes of different runs on one table. */
  readonly run: string
  readonly afterKnownMs: number | undefined
  readonly throughKnownMs: number
  /** Of windows: events from it on are the stream's; null: all are taken. */
  readonly seamMs: number | null
  readonly signal: AbortSignal
  readonly onProgress: (keys: number) => void
}

export interface Filled {
  /** By an interrupted call before this one too. */
  readonly keys: number
  readonly quarantined: number
  readonly newestEventMs: number | undefined
}

const STREAM = 'materialise'
/** States written at once. */
const BATCH = 500
const READ_SLACK_MS = 60_000

export async function fill(filling: Filling): Promise<Filled> {
  const { table, store, run } = filling
  const noted = await store.position(table, STREAM)
  const note = noted !== undefined && noted['run'] === run ? { key: noted['key'], keys: Number(noted['keys']) } : START
  return table.view.kind === 'rows' ? fillRows(filling, table.view, note) : fillWindows(filling, table.view, note)
}

/** The last key that is in, and how many are. */
interface Note {
  readonly key: string | undefined
  readonly keys: number
}

const START: Note = { key: undefined, keys: 0 }

function noteOf(run: string, key: string, keys: number) {
  return { stream: STREAM, at: { run, key, keys: String(keys) } }
}

async function fillRows(filling: Filling, view: CompiledRowView, note: Note): Promise<Filled> {
  const { offline, store, table, afterKnownMs, throughKnownMs, signal, onProgress, run } = filling
  let { keys } = note
  let quarantined = 0
  let newestEventMs: number | undefined
  for await (const rows of offline.newestRows(view, { afterKnownMs, throughKnownMs, afterKey: note.key })) {
    signal.throwIfAborted()
    if (rows.length === 0) continue
    const { breaches } = checkViewRows(view, rows)
    const bad = new Set(breaches.map(({ index }) => index))
    await quarantineOf(filling, breaches, (index) => ({
      key: rows[index]!.key,
      eventMs: rows[index]!.eventMs,
      ...named(
        view.features.map(({ name }) => name),
        rows[index]!.values,
      ),
    }))
    const good = bad.size === 0 ? rows : rows.filter((_, index) => !bad.has(index))
    if (good.length > 0) await store.writeRows(table, good)
    // Rows are written first: those that are written again after a crash change nothing.
    keys += good.length
    await store.writeStates(table, [], noteOf(run, rows.at(-1)!.key, keys))
    for (const { eventMs } of good) if (newestEventMs === undefined || eventMs > newestEventMs) newestEventMs = eventMs
    quarantined += bad.size
    onProgress(keys)
  }
  return { keys, quarantined, newestEventMs }
}

async function fillWindows(filling: Filling, view: CompiledWindowView, note: Note): Promise<Filled> {
  const { offline, store, table, throughKnownMs, seamMs, engineOf, platform, signal, onProgress, run } = filling
  const engine = engineOf(view)
  const nowMs = platform.clock.nowMs()
  const rules = sourceRules(view)
  let { keys } = note
  let quarantined = 0
  let newestEventMs: number | undefined
  let key: string | undefined
  let state: KeyState | undefined
  let writes: StateWrite[] = []
  const endKey = () => {
    if (key === undefined || state === undefined) return
    if (!state.evict(nowMs - READ_SLACK_MS)) writes.push({ key, state })
    keys++
    state = undefined
  }
  const write = async (lastKey: string) => {
    signal.throwIfAborted()
    await store.writeStates(table, writes, noteOf(run, lastKey, keys))
    writes = []
    onProgress(keys)
  }
  const range = {
    fromMs: nowMs - view.maxWindowMs - view.hopMs - READ_SLACK_MS,
    beforeMs: seamMs ?? Number.MAX_SAFE_INTEGER,
    throughKnownMs,
    afterKey: note.key,
  }
  for await (const events of offline.events(view, range)) {
    signal.throwIfAborted()
    const rows = rules.expectations.length === 0 ? [] : events.map((event) => named(view.columns, event.values))
    const { breaches } = checkRows(rules, rows)
    const bad = new Set(breaches.map(({ index }) => index))
    await quarantineOf(filling, breaches, (index) => ({ key: events[index]!.key, ...rows[index] }))
    quarantined += bad.size
    for (let i = 0; i < events.length; i++) {
      const event: HistoryEvent = events[i]!
      if (event.key !== key) {
        endKey()
        if (writes.length >= BATCH) await write(key!)
        key = event.key
        state = engine.create()
      }
      if (bad.has(i)) continue
      state!.add(event)
      if (newestEventMs === undefined || event.eventMs > newestEventMs) newestEventMs = event.eventMs
    }
  }
  endKey()
  if (key !== undefined) await write(key)
  return { keys, quarantined, newestEventMs }
}

function named(names: readonly string[], values: readonly Value[]): Record<string, Value> {
  return Object.fromEntries(names.map((name, i) => [name, values[i] ?? null]))
}

async function quarantineOf(
  { platform, quarantine, table }: Filling,
  breaches: readonly RowBreach[],
  row: (index: number) => Readonly<Record<string, unknown>>,
): Promise<void> {
  if (breaches.length === 0) return
  await quarantine.put(
    breaches.map(({ index, reason, problem }) => ({
      of: table.view.name,
      reason,
      problem,
      atMs: platform.clock.nowMs(),
      row: JSON.stringify(row(index), (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    })),
  )
}
