// The offline store: one DuckDB per operation over the sources of the project.
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Platform } from '../../core/index.js'
import type { CompiledView } from '../compiled.js'
import type { Value } from '../value.js'
import { openDuck } from './duck.js'
import { readEvents, readNewestKnownMs, readNewestRows } from './history.js'
import { createPostgresAccess } from './postgres-source.js'
import { relationOf, type SourceAccess, sourceColumns } from './relation.js'
import { makeTrainingSet } from './training-set.js'
import type { OfflineStore } from './types.js'
import { valuesAtMoments } from './values-at.js'

export interface OfflineStoreOptions {
  readonly platform: Platform
  /** The project's folder: relative paths are there. */
  readonly root: string
  /** Where the URLs of Postgres sources are. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What DuckDB may hold in memory; the rest is spilled into `tempFolder`. Default 2 GiB. */
  readonly memoryLimitBytes?: number
  /** Default: the cores of the machine. */
  readonly threads?: number
  /** Spill files, and the steps of training sets until they are written. */
  readonly tempFolder: string
  /** Files of a stream source's event log. */
  eventFiles(source: string): Promise<readonly string[]>
  /** Every event of a stream source that was known since then is in its log. Default: not told, so a batch source beside it is read to its end. */
  eventsSinceMs?(source: string): Promise<number>
}

const DEFAULT_MEMORY_BYTES = 2 * 1024 ** 3

export function createOfflineStore(options: OfflineStoreOptions): OfflineStore {
  const {
    platform,
    root,
    environment,
    memoryLimitBytes = DEFAULT_MEMORY_BYTES,
    threads = availableParallelism(),
    tempFolder,
  } = options
  const closing = new AbortController()
  const postgres = createPostgresAccess(environment)
  const running = new Map<string, Promise<unknown>>()

  async function access(signal?: AbortSignal): Promise<SourceAccess> {
    const duck = await openDuck({
      memoryLimitBytes,
      threads,
      tempFolder: join(tempFolder, 'spill'),
      root,
      signal: signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]),
    })
    return {
      duck,
      root,
      eventFiles: (source) => options.eventFiles(source),
      eventsSinceMs: async (source) => (await options.eventsSinceMs?.(source)) ?? Number.MAX_SAFE_INTEGER,
      nowMs: platform.clock.nowMs(),
      postgres,
    }
  }

  async function using<T>(work: (access: SourceAccess) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const opened = await access(signal)
    try {
      return await work(opened)
    } finally {
      await opened.duck.close()
    }
  }

  async function* streaming<T>(read: (access: SourceAccess) => AsyncIterable<T>): AsyncIterable<T> {
    const opened = await access()
    try {
      yield* read(opened)
    } finally {
      await opened.duck.close()
    }
  }

  return {
    async trainingSet(request) {
      // Two of one output would write over each other's steps.
      const before = running.get(request.out)
      const mine = (async () => {
        await before?.catch(() => undefined)
        return using((opened) => makeTrainingSet(opened, platform, tempFolder, environment, request), request.signal)
      })()
      running.set(request.out, mine)
      try {
        return await mine
      } finally {
        if (running.get(request.out) === mine) running.delete(request.out)
      }
    },
    newestRows: (view, range) => streaming((opened) => readNewestRows(opened, view, range)),
    events: (view, range) => streaming((opened) => readEvents(opened, view, range)),
    newestKnownMs: (view, throughKnownMs) => using((opened) => readNewestKnownMs(opened, view, throughKnownMs)),
    valuesAt: (
      view: CompiledView,
      moments: readonly { readonly key: string; readonly atMs: number }[],
    ): Promise<(readonly Value[] | undefined)[]> => using((opened) => valuesAtMoments(opened, view, moments)),
    schema: (view) => using((opened) => sourceColumns(opened, view)),
    inspect: (view, work, signal) => using(async (opened) => work(opened.duck, await relationOf(opened, view)), signal),
    async close() {
      closing.abort()
      await Promise.allSettled(running.values())
    },
  }
}
