// What a generation was made by, kept beside it. When the definition has changed since, requests read the old generation with this until the
// new one is filled. Filters are code: of them the text is kept, and a generation is written as long as the present definition has each of them.
import type { CompiledRowView, CompiledView, CompiledWindowView, WindowFeature } from '../compiled.js'
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
  /** Of the stream, as they were. */
  readonly types: Columns
  /** Source texts; features name theirs by its place here. */
  readonly filters: readonly string[]
  readonly view: RowLayout | WindowLayout
}

/** JSON text. */
export function layoutOf(view: CompiledView): string {
  const { version, table, fingerprint, stream, keys, columns } = view
  const filters = filtersOf(view)
  const kept: Kept = {
    version,
    table,
    fingerprint,
    stream: stream?.name ?? null,
    types: stream?.columns ?? {},
    filters: filters.map(String),
    view:
      view.kind === 'rows'
        ? { kind: 'rows', keys, features: view.features, columns, ttlMs: view.ttlMs }
        : {
            kind: 'windows',
            keys,
            // JSON leaves out what is undefined.
            features: view.features,
            columns,
            windowing: view.windowing,
            hopMs: view.hopMs,
            maxWindowMs: view.maxWindowMs,
          },
  }
  // Defaults may be bigints or vectors; they are the reader's affair and come from the present definition.
  return JSON.stringify(kept, (key, value: unknown) => {
    if (key === 'fallback') return null
    return typeof value === 'function' ? filters.indexOf(value as Filter) : value
  })
}

/** The view as it was, with where it comes from today; `isWritable`: events can still be taken into it. */
export function thaw(layout: string, now: CompiledView): { readonly view: CompiledView; readonly isWritable: boolean } {
  const kept = JSON.parse(layout) as Kept
  const { source, stream, everyMs, online, expectations, definition, name } = now
  const { version, table, fingerprint, filters: texts } = kept
  const base = { name, version, table, fingerprint, source, stream, everyMs, online, expectations, definition }
  const isSameStream = stream !== undefined && stream.name === kept.stream
  const present = new Map(filtersOf(now).map((filter) => [String(filter), filter]))
  // One function each, though their texts may be the same: what is stored tells them apart.
  const filters = texts.map((text): Filter => {
    const filter = present.get(text)
    return (row) => filter?.(row) ?? false
  })
  const hasFilters = texts.every((text) => present.has(text))
  return {
    view: completed({ ...base, ...kept.view }, filters),
    isWritable: isSameStream && hasFilters && takes(stream.columns, kept),
  }
}

/** Whether events of these columns can still become its rows or window events. */
function takes(columns: Columns, { types, view }: Kept): boolean {
  const needed = [...view.keys.map(({ name }) => name), ...view.columns]
  return needed.every((name) => name in columns && columns[name] === types[name])
}

type Filter = NonNullable<WindowFeature['where']>

function filtersOf(view: CompiledView): readonly Filter[] {
  return view.kind === 'rows' ? [] : [...new Set(view.features.flatMap(({ where }) => where ?? []))]
}

/** With what JSON left out. */
function completed(view: CompiledView, filters: readonly Filter[]): CompiledView {
  if (view.kind === 'rows') return { ...view, ttlMs: view.ttlMs }
  return {
    ...view,
    features: view.features.map((feature) => {
      // Kept as its place.
      const where: unknown = feature.where
      return { ...feature, column: feature.column, where: typeof where === 'number' ? filters[where] : undefined }
    }),
  }
}
