// The memory store as the other processes of a server see it: they ask the one that owns it. Reads of one turn of the event loop travel as
// one message, because every channel gathers what is sent in a turn.
import { HeadraceError } from '../../core/index.js'
import type { CompiledView } from '../compiled.js'
import { FeatureErrors } from '../errors.js'
import { decodeAnswer, decodeReads, encodeAnswer, encodeReads } from './remote-bytes.js'
import type { OnlineAnswer, OnlineEntry, OnlineRead, OnlineStore, OnlineTable } from './types.js'

export type RemoteOnlineStore = Pick<OnlineStore, 'kind' | 'read'>

/** More than this under way means that the owner does not answer. */
const MAX_UNDER_WAY = 1000

/**
 * `ask` brings a request to the owner's `answerOnlineReads`. When it rejects, reads reject with FEATURE_STORE_UNAVAILABLE.
 *
 * @example
 * createRemoteOnlineStore((request) => primary.call('readFeatures', request))
 */
export function createRemoteOnlineStore(ask: (request: Uint8Array) => Promise<Uint8Array>): RemoteOnlineStore {
  let underWay = 0
  return {
    kind: 'memory',
    async read(reads: readonly OnlineRead[], atMs: number): Promise<OnlineAnswer> {
      if (underWay >= MAX_UNDER_WAY) {
        throw FeatureErrors.STORE_UNAVAILABLE({ reason: `${underWay} reads wait for the process that keeps it` })
      }
      underWay++
      try {
        return await decodeAnswer(bufferOf(await ask(encodeReads(reads, atMs))))
      } catch (error) {
        if (error instanceof HeadraceError && error.code === 'FEATURE_STORE_UNAVAILABLE') throw error
        const reason = error instanceof Error ? error.message : String(error)
        throw FeatureErrors.STORE_UNAVAILABLE({ reason }, error)
      } finally {
        underWay--
      }
    },
  }
}

/** The owner's side; `views` by name. Tables of views that it does not know are empty. */
export async function answerOnlineReads(
  store: Pick<OnlineStore, 'read'>,
  views: ReadonlyMap<string, CompiledView>,
  request: Uint8Array,
): Promise<Uint8Array> {
  const { atMs, reads } = decodeReads(bufferOf(request))
  const known: OnlineRead[] = []
  for (const { table, keys } of reads) {
    const view = views.get(table.slice(0, table.lastIndexOf('@')))
    if (view) known.push({ table: { view, name: table } satisfies OnlineTable, keys })
  }
  const answer = await store.read(known, atMs)
  if (known.length === reads.length) return encodeAnswer(answer)
  let next = 0
  return encodeAnswer(
    reads.map(({ table, keys }) =>
      known[next]?.table.name === table
        ? answer[next++]!
        : new Array<OnlineEntry | undefined>(keys.length).fill(undefined),
    ),
  )
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
