// What a node knows of the metadata store, in a file of its data folder: with it the node starts while the store is away. One JSON a
// line, first the small things and then each entry of each map, so that ten thousand versions are written a few at a time.
import { existsSync } from 'node:fs'
import { type FileHandle, open, readFile, rename } from 'node:fs/promises'
import path from 'node:path'
import type { Platform } from '../../core/index.js'
import type { DecisionPosition } from '../../decisions/index.js'
import type { TablesState } from '../../features/index.js'
import type { RegistryState } from '../engines.js'

export interface LocalState {
  readonly position: DecisionPosition
  readonly state: RegistryState
  /** Of a project with features. */
  readonly featureTables: TablesState | undefined
}

interface Head {
  readonly format: number
  readonly position: DecisionPosition
  /** What of the state is no map. */
  readonly state: Readonly<Record<string, unknown>>
  /** Names of those that are. */
  readonly maps: readonly string[]
  readonly featureTables?: TablesState | undefined
}

type Entry = readonly [map: string, key: unknown, value: unknown]

const FORMAT = 1
/** Changes that come close together are written once. */
const PAUSE_MS = 500
/** Of a node with many versions a write takes long: it rests for so many times that. */
const REST = 20
const LONGEST_PAUSE_MS = 10_000
/** Some 2 ms of work each. */
const LINES_AT_ONCE = 500

const fileIn = (dataDir: string) => path.join(dataDir, 'metadata-copy.json')

export function hasLocalCopy(dataDir: string): boolean {
  return existsSync(fileIn(dataDir))
}

/** undefined when there is none, or none that this version reads: the node then needs the store to start. */
export async function readLocalCopy(dataDir: string): Promise<LocalState | undefined> {
  try {
    const [first = '', ...lines] = (await readFile(fileIn(dataDir), 'utf8')).trimEnd().split('\n')
    const head = JSON.parse(first) as Head
    if (head.format !== FORMAT) return undefined
    const maps = new Map(head.maps.map((name) => [name, new Map<unknown, unknown>()]))
    for (const line of lines) {
      const [map, key, value] = JSON.parse(line) as Entry
      maps.get(map)!.set(key, value)
    }
    return {
      position: head.position,
      featureTables: head.featureTables,
      state: { ...head.state, ...Object.fromEntries(maps) } as unknown as RegistryState,
    }
  } catch {
    return undefined
  }
}

export class LocalCopy {
  #due: LocalState | undefined
  #writing: Promise<void> | undefined
  #timer: { cancel(): void } | undefined
  #tookMs = 0

  constructor(
    private readonly dataDir: string,
    private readonly platform: Pick<Platform, 'clock' | 'logger'>,
  ) {}

  /** Maps of the state may go on changing: what they hold later has decisions that are followed once more at a start. */
  changed(due: LocalState): void {
    this.#due = due
    this.#timer ??= this.platform.clock.after(
      Math.min(Math.max(PAUSE_MS, REST * this.#tookMs), LONGEST_PAUSE_MS),
      () => {
        this.#timer = undefined
        void this.#write()
      },
    )
  }

  async close(): Promise<void> {
    this.#timer?.cancel()
    await this.#write()
  }

  async #write(): Promise<void> {
    await this.#writing
    const due = this.#due
    this.#due = undefined
    if (due === undefined) return
    this.#writing = this.#replace(due)
    await this.#writing
  }

  async #replace(due: LocalState): Promise<void> {
    const file = fileIn(this.dataDir)
    const { clock } = this.platform
    const startedMs = clock.monotonicMs()
    try {
      // It holds the hashes of keys.
      const handle = await open(`${file}.new`, 'w', 0o600)
      try {
        await writeLines(handle, due)
        // Of a machine that loses its power the file would else be there and empty, or end early.
        await handle.datasync()
      } finally {
        await handle.close()
      }
      await rename(`${file}.new`, file)
      this.#tookMs = clock.monotonicMs() - startedMs
    } catch (error) {
      // The node works on; without the store it starts from an older copy, or not at all.
      this.platform.logger.warn({ err: error, file }, 'the copy of the metadata could not be written')
    }
  }
}

async function writeLines(handle: FileHandle, { position, state, featureTables }: LocalState): Promise<void> {
  const fields = Object.entries(state)
  const maps = fields.filter((field): field is [string, ReadonlyMap<unknown, unknown>] => field[1] instanceof Map)
  const rest = Object.fromEntries(fields.filter(([, value]) => !(value instanceof Map)))
  const head: Head = { format: FORMAT, position, state: rest, maps: maps.map(([name]) => name), featureTables }
  let lines = [JSON.stringify(head)]
  for (const [name, map] of maps)
    for (const [key, value] of map) {
      lines.push(JSON.stringify([name, key, value] satisfies Entry))
      if (lines.length < LINES_AT_ONCE) continue
      await handle.write(`${lines.join('\n')}\n`)
      lines = []
    }
  await handle.write(`${lines.join('\n')}\n`)
}
