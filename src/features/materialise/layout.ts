// What a generation was made by, kept beside it. When the definition has changed since, requests read the old generation with this until the
// new one is filled. Filters are code and cannot be kept: a generation whose definition is gone is read, but written only if it has none.
import type { CompiledRowView, CompiledView, CompiledWindowView } from '../compiled.js'
import type { Columns } from '../definitions/source.js'

type RowLayout = Pick<CompiledRowView, 'kind' | 'keys' | 'features' | 'columns' | 'ttlMs'>
type WindowLayout = Pick<
  CompiledWindowView,
  'kind' | 'keys' | 'features' | 'columns' | 'windowing' | 'hopMs' | 'maxWindowMs'
>

interface Kept {
  readonly version: number
  readonly table: string
  readonly fingerprint: string
  readonly stream: string | null
  readonly hasFilters: boolean
  readonly view: RowLayout | WindowLayout
}

/** JSON text. */
export function layoutOf(view: CompiledView): string {
  const { version, table, fingerprint, stream, keys, columns } = view
  const kept: Kept = {
    version,
    table,
    fingerprint,
    stream: stream?.name ?? null,
    hasFilters: view.kind === 'windows' && view.features.some(({ where }) => where !== undefined),
    view:
      view.kind === 'rows'
        ? { kind: 'rows', keys, features: view.features, columns, ttlMs: view.ttlMs }
        : {
            kind: 'windows',
            keys,
            // JSON leaves out what is undefined, and functions.
            features: view.features,
            columns,
            windowing: view.windowing,
            hopMs: view.hopMs,
            maxWindowMs: view.maxWindowMs,
          },
  }
  // Defaults may be bigints or vectors; they are the reader's affair and come from the present definition.
  return JSON.stringify(kept, (key, value: unknown) => (key === 'fallback' ? null : value))
}

/** The view as it was, with where it comes from today; `isWritable`: events can still be taken into it. */
export function thaw(layout: string, now: CompiledView): { readonly view: CompiledView; readonly isWritable: boolean } {
  const kept = JSON.parse(layout) as Kept
  const { source, stream, everyMs, online, expectations, definition, name } = now
  const { version, table, fingerprint } = kept
  const base = { name, version, table, fingerprint, source, stream, everyMs, online, expectations, definition }
  const isSameStream = stream !== undefined && stream.name === kept.stream
  return {
    view: completed({ ...base, ...kept.view }),
    isWritable: isSameStream && !kept.hasFilters && takes(stream.columns, kept.view),
  }
}

/** Whether events of these columns can still become its rows or window events. */
function takes(columns: Columns, view: RowLayout | WindowLayout): boolean {
  if (view.kind === 'windows') return view.columns.every((column) => column in columns)
  return view.features.every(({ column, type }) => columns[column] === type)
}

/** With what JSON left out. */
function completed(view: CompiledView): CompiledView {
  if (view.kind === 'rows') return { ...view, ttlMs: view.ttlMs }
  return {
    ...view,
    features: view.features.map((feature) => ({ ...feature, column: feature.column, where: undefined })),
  }
}
