// What a node knows of the metadata store, in a file of its data folder: with it the node starts while the store is away.
import { readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Platform } from '../../core/index.js'
import type { DecisionPosition } from '../../decisions/index.js'
import type { RegistryState } from '../engines.js'

export interface LocalState {
  readonly position: DecisionPosition
  readonly state: RegistryState
}

const FORMAT = 1
/** Changes that come close together are written once. */
const PAUSE_MS = 500

const fileIn = (dataDir: string) => path.join(dataDir, 'metadata-copy.json')

/** undefined when there is none, or none that this version reads: the node then needs the store to start. */
export async function readLocalCopy(dataDir: string): Promise<LocalState | undefined> {
  try {
    const copy = JSON.parse(await readFile(fileIn(dataDir), 'utf8'), revive) as LocalState & { format: number }
    return copy.format === FORMAT ? copy : undefined
  } catch {
    return undefined
  }
}

export class LocalCopy {
  #due: LocalState | undefined
  #writing: Promise<void> | undefined
  #timer: { cancel(): void } | undefined

  constructor(
    private readonly dataDir: string,
    private readonly platform: Pick<Platform, 'clock' | 'logger'>,
  ) {}

  /** `state` is read when it is written: the newest then. */
  changed(due: LocalState): void {
    this.#due = due
    this.#timer ??= this.platform.clock.after(PAUSE_MS, () => {
      this.#timer = undefined
      void this.#write()
    })
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
    try {
      // It holds the hashes of keys.
      await writeFile(`${file}.new`, JSON.stringify({ format: FORMAT, ...due }, flatten), { mode: 0o600 })
      await rename(`${file}.new`, file)
    } catch (error) {
      // The node works on; without the store it starts from an older copy, or not at all.
      this.platform.logger.warn({ err: error, file }, 'the copy of the metadata could not be written')
    }
  }
}

type Flat = { readonly $map: readonly (readonly [unknown, unknown])[] } | { readonly $set: readonly unknown[] }

function flatten(_key: string, value: unknown): unknown {
  if (value instanceof Map) return { $map: [...value] } satisfies Flat
  if (value instanceof Set) return { $set: [...value] } satisfies Flat
  return value
}

function revive(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('$map' in value) return new Map((value as { $map: [unknown, unknown][] }).$map)
  if ('$set' in value) return new Set((value as { $set: unknown[] }).$set)
  return value
}
