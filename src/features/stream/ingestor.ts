// Takes events in: checked, written to the event log, then taken into the tables of every view that they feed. A push is acknowledged once it
// is in the log; a crash after that is made good at the next start, from the log and the positions in the online store.
//
// Guarantees. An acknowledged event is never lost, and is counted once per table, across kills at any moment. A push without an answer may
// have been taken in: sent again it counts once only if its source has an `eventId`.
import type { CompiledView } from '../compiled.js'
import { FeatureErrors } from '../errors.js'
import type { OnlineRow } from '../online/types.js'
import { createEventRules } from '../quality/row-rules.js'
import { createSourceIntake, type IngestorOptions, type SourceIntake } from './source-intake.js'
import type { ArrivedEvent, IngestReport, PlacedEvent } from './types.js'

export interface Ingestor {
  /** Throws FEATURE_SOURCE_UNKNOWN, FEATURE_INGEST_OVERLOADED, FEATURE_EVENT_LOG_FAILED. */
  push(source: string, events: readonly ArrivedEvent[]): Promise<IngestReport>
  /** Records of one partition of a source, in their order; `through` is the offset after the last, refused ones included. */
  take(source: string, partition: string, events: readonly PlacedEvent[], through: number): Promise<IngestReport>
  /** The furthest that every table fed by a source has taken a partition in; undefined when one has nothing of it. */
  position(source: string, partition: string): Promise<number | undefined>
  /** Rows written straight into a row view, past its source. Newer ones win. Says how many were. */
  writeRows(view: CompiledView, rows: readonly OnlineRow[]): Promise<number>
  /** Resolves when a table has everything that is in the log of its stream. */
  catchUp(tableName: string): Promise<void>
  /** Takes in what the log has and the tables have not: after a start. */
  start(): Promise<void>
  close(): Promise<void>
}

export function createIngestor(options: IngestorOptions): Ingestor {
  const { project, tables, store } = options
  const rules = createEventRules(project)
  const intakes = new Map<string, SourceIntake>()
  for (const source of project.sources.values()) {
    if (source.kind !== 'push' && source.kind !== 'kafka') continue
    const views = [...project.views.values()].filter(({ stream, online }) => online && stream?.name === source.name)
    intakes.set(source.name, createSourceIntake({ ...options, rules }, source, views))
  }
  const intakeOf = (source: string) => {
    const intake = intakes.get(source)
    if (!intake) throw FeatureErrors.SOURCE_UNKNOWN({ source, known: [...intakes.keys()].join(', ') })
    return intake
  }
  return {
    push: async (source, events) => intakeOf(source).push(events),
    take: async (source, partition, events, through) => intakeOf(source).take(partition, events, through),
    position: (source, partition) => intakeOf(source).position(partition),
    async writeRows(view, rows) {
      let written = 0
      for (const table of tables.writing(view)) {
        const own = rowsFor(table.view, view, rows)
        if (own) written = Math.max(written, await store.writeRows(table, own))
      }
      return written
    },
    async catchUp(tableName) {
      const stream = tables.generation(tableName)?.table.view.stream
      if (stream !== undefined) await intakeOf(stream.name).catchUp(tableName)
    },
    async start() {
      for (const intake of intakes.values()) await intake.start()
    },
    async close() {
      for (const intake of intakes.values()) await intake.close()
    },
  }
}

/** Rows of a view as a generation has them that an earlier definition made; undefined where that was about other entities. */
function rowsFor(made: CompiledView, now: CompiledView, rows: readonly OnlineRow[]): readonly OnlineRow[] | undefined {
  if (made === now) return rows
  const haveSameKeys =
    made.keys.length === now.keys.length &&
    made.keys.every(({ name, type }, i) => name === now.keys[i]!.name && type === now.keys[i]!.type)
  if (!haveSameKeys) return undefined
  const places = made.features.map(({ name, type }) =>
    now.features.findIndex((feature) => feature.name === name && feature.type === type),
  )
  return rows.map((row) => ({ ...row, values: places.map((place) => row.values[place] ?? null) }))
}
