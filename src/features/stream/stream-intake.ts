// Reads the stream sources that come by topics: JSON objects, known at their record's timestamp. The partition's position in the online store
// says where to go on, so a record counts once across crashes, redelivery and partitions that change hands.
//
// States are kept per entity by whoever reads the partition, so with several replicas all records of an entity have to be in one partition:
// producers key them by the entity. Records that are keyed otherwise are counted and told of; one replica alone takes them rightly as well.
import type { Platform } from '../../core/index.js'
import type { Stream, StreamConsumer, StreamRecord } from '../../store/index.js'
import type { CompiledView, FeatureProject } from '../compiled.js'
import type { KafkaSource } from '../definitions/source.js'
import type { Ingestor } from './ingestor.js'
import type { PlacedEvent, Quarantine, QuarantinedRow } from './types.js'

export interface StreamIntakeOptions {
  readonly platform: Platform
  readonly project: FeatureProject
  readonly stream: Stream
  readonly ingestor: Pick<Ingestor, 'take' | 'position'>
  readonly quarantine: Pick<Quarantine, 'put'>
}

export interface StreamIntake {
  /** Never rejects because the stream cannot be reached: that is tried again. */
  start(): Promise<void>
  close(): Promise<void>
}

const MAX_ROW_CHARS = 64 * 1024
const UNREADABLE = 'FEATURE_EVENT_UNREADABLE'

export function createStreamIntake(options: StreamIntakeOptions): StreamIntake {
  const { platform, project, stream, ingestor, quarantine } = options
  const consumers: StreamConsumer[] = []
  const unkeyed = platform.metrics.counter({
    name: 'ml_feature_unkeyed_records_total',
    help: 'Records whose key is not the entity of a view that they feed: replicas must not share such a topic.',
    labels: ['source'],
  })
  const warned = new Set<string>()

  async function take(source: KafkaSource, partition: number, records: readonly StreamRecord[]): Promise<void> {
    const views = [...project.views.values()].filter((view) => view.stream?.name === source.name)
    const events: PlacedEvent[] = []
    const unreadable: QuarantinedRow[] = []
    let others = 0
    for (const record of records) {
      const row = readRow(record.value)
      if (row === undefined) {
        const text = Buffer.from(record.value).toString('utf8').slice(0, MAX_ROW_CHARS)
        const problem = `record ${record.offset} of partition ${partition} is no JSON object`
        unreadable.push({ of: source.name, reason: UNREADABLE, problem, atMs: platform.clock.nowMs(), row: text })
        continue
      }
      if (!isKeyed(record.key, row, views)) others++
      events.push({ row, knownMs: record.timestampMs, offset: record.offset })
    }
    if (unreadable.length > 0) await quarantine.put(unreadable)
    await ingestor.take(source.name, String(partition), events, records.at(-1)!.offset + 1)
    if (others === 0) return
    unkeyed.with(source.name).inc(others)
    if (warned.has(source.name)) return
    warned.add(source.name)
    platform.logger.warn(
      { source: source.name, topic: source.topic },
      'records are not keyed by the entity: one replica counts them rightly, several would not. Key them by the entity',
    )
  }

  return {
    async start() {
      for (const source of project.sources.values()) {
        if (source.kind !== 'kafka') continue
        const reader = {
          position: (partition: number) => ingestor.position(source.name, String(partition)),
          batch: (partition: number, records: readonly StreamRecord[]) => take(source, partition, records),
        }
        consumers.push(await stream.consume(source.topic, source.groupId ?? `headrace-${source.name}`, reader))
      }
    },
    async close() {
      for (const consumer of consumers.splice(0)) await consumer.close()
    },
  }
}

function readRow(value: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const row: unknown = JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8'))
    return typeof row === 'object' && row !== null && !Array.isArray(row) ? (row as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** By one of the entity's keys, or all of them: then records of an entity are in one partition. */
function isKeyed(
  key: string | undefined,
  row: Readonly<Record<string, unknown>>,
  views: readonly CompiledView[],
): boolean {
  return views.every(({ keys }) => {
    const values = keys.map(({ name }) => String(row[name]))
    return key !== undefined && (values.includes(key) || values.join('|') === key)
  })
}
