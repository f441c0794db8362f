// The files of one table of the memory store: a snapshot and the journal of what came after it, which becomes the next snapshot when it is
// long. `snapshot-7` holds what journals before `journal-7` said; a start reads the newest snapshot and the journals from its number on.
import { type FileHandle, open, readdir, rename, rm, stat, truncate } from 'node:fs/promises'
import path from 'node:path'
import { HeadraceError, type Platform, type Timer } from '../../core/index.js'
import { makeFolder, syncFolder } from '../../store/index.js'
import { FeatureErrors } from '../errors.js'
import { AFTER_LOSS_MAGIC, FrameWriter, MAGIC, readEntries } from './journal-format.js'
import { type MemoryTable, sinkOf } from './memory-table.js'
import { magicOf, type ReadFile, readTransactions } from './read-frames.js'
import { Turns } from './turns.js'

/** What one sync makes durable together. */
const GATHER_MS = 20
/** Writers wait when the disk is this far behind. */
const MAX_WAITING_BYTES = 16 << 20
/** A journal is made a snapshot when it is longer than this, and than the last snapshot. */
const COMPACT_BYTES = 8 << 20
const RETRY_MS = 5000

interface Waiter {
  resolve(): void
  reject(error: unknown): void
}

export class TableFiles {
  #number: number
  #journal: FileHandle | undefined
  #journalBytes: number
  #snapshotBytes: number
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** Of those who wait for what is in `#waiting`. */
  #waiters: Waiter[] = []
  #timer: Timer | undefined
  #writing: Promise<void> | undefined
  #compacting: Promise<void> | undefined
  /** Nothing is written while one journal takes the place of another. */
  #isRotating = false
  /** What could not be written: the files lack it, until a snapshot of all that is in memory makes them whole. */
  #failure: unknown
  /** False once something was lost: what came after it must not be read without it. */
  #isTaking = true
  /** How often something could not be written. */
  #losses = 0
  #isClosed = false

  private constructor(
    private readonly folder: string,
    private readonly table: MemoryTable,
    private readonly platform: Platform,
    from: { readonly number: number; readonly snapshotBytes: number; readonly journalBytes: number },
  ) {
    this.#number = from.number
    this.#snapshotBytes = from.snapshotBytes
    this.#journalBytes = from.journalBytes
  }

  /** Of a table that is new. `after`: what still happens to a folder of that name; it never rejects. */
  static create(folder: string, table: MemoryTable, platform: Platform, after?: Promise<void>): TableFiles {
    const files = new TableFiles(folder, table, platform, { number: 0, snapshotBytes: 0, journalBytes: 0 })
    if (after) files.#writing = after.then(() => files.#written())
    return files
  }

  /**
   * Reads what the folder holds into `table`. Damage empties the table, because what is left of it could be taken for the whole; its mark is
   * gone then, which is how it is noticed.
   */
  static async load(folder: string, table: MemoryTable, platform: Platform): Promise<TableFiles> {
    const names = await readdir(folder)
    const snapshot = numbersOf(names, 'snapshot').at(-1)
    let number = snapshot ?? 0
    let snapshotBytes = 0
    let journalBytes = 0
    let isDamaged = false
    const kept = new Set<string>()
    if (snapshot !== undefined) {
      const name = `snapshot-${snapshot}`
      const read = await readInto(path.join(folder, name), table, platform)
      snapshotBytes = read.wholeBytes
      isDamaged = read.isDamaged || (await stat(path.join(folder, name))).size !== snapshotBytes
      kept.add(name)
    }
    for (const journal of numbersOf(names, 'journal')) {
      if (journal < (snapshot ?? 0)) continue
      const name = `journal-${journal}`
      const file = path.join(folder, name)
      // Nothing in it was acknowledged: it only counts with its snapshot, which was never finished.
      if (journal !== snapshot && (await magicOf(file))?.equals(AFTER_LOSS_MAGIC)) break
      const read = await readInto(file, table, platform)
      isDamaged ||= read.isDamaged
      await truncate(file, read.wholeBytes)
      number = journal
      journalBytes = read.wholeBytes
      kept.add(name)
    }
    for (const name of names) if (!kept.has(name)) await rm(path.join(folder, name), { recursive: true })
    const files = new TableFiles(folder, table, platform, { number, snapshotBytes, journalBytes })
    if (isDamaged) {
      platform.logger.error({ folder, table: table.name }, 'stored features are damaged: the table begins empty')
      table.clear()
      await files.#compact()
    }
    return files
  }

  /** What the table has already taken in. Waits only when the disk is far behind. */
  async append(frames: readonly Buffer[]): Promise<void> {
    if (frames.length === 0 || this.#isClosed) return
    // Whatever is in memory will be in the snapshot that makes the files whole again.
    if (!this.#isTaking) return
    for (const frame of frames) {
      this.#waiting.push(frame)
      this.#waitingBytes += frame.length
    }
    if (this.#waitingBytes > MAX_WAITING_BYTES) {
      // Nobody is told of a failure here: the data is in memory, and `flush` is who asks for more.
      await this.#drain().catch(() => undefined)
    } else if (this.#writing === undefined) {
      this.#timer ??= this.platform.clock.after(GATHER_MS, () => this.#start())
    }
  }

  /** Resolves when all that was appended survives a power loss. Rejects with FEATURE_STORE_NOT_KEPT. */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) {
      await this.#compact()
      if (this.#failure !== undefined) throw this.#failure
    }
    await this.#drain()
  }

  async close(): Promise<void> {
    try {
      await this.flush()
    } finally {
      this.#isClosed = true
      this.#timer?.cancel()
      await this.#compacting
      await this.#journal?.close()
    }
  }

  /** Nothing of it is left when this resolves, nor after a crash from the moment its folder has another name. */
  async remove(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#waiting = []
    for (const { resolve } of this.#waiters.splice(0)) resolve()
    await this.#writing
    await this.#compacting
    await this.#journal?.close()
    const doomed = `${this.folder}${DROPPED}`
    try {
      await rename(this.folder, doomed)
      await syncFolder(path.dirname(this.folder))
    } catch (error) {
      // It never had anything to write.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw error
    }
    await rm(doomed, { recursive: true, force: true })
  }

  async #drain(): Promise<void> {
    if (this.#waiting.length > 0) {
      await new Promise<void>((resolve, reject) => {
        this.#waiters.push({ resolve, reject })
        this.#start()
      })
      return
    }
    const losses = this.#losses
    await this.#writing
    if (this.#losses > losses) throw this.#failure
  }

  #start(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#writing !== undefined || this.#isRotating || this.#waiting.length === 0) return
    this.#writing = this.#write().then(() => this.#written())
  }

  #written(): void {
    this.#writing = undefined
    if (this.#waiters.length > 0) this.#start()
    else if (this.#waiting.length > 0) this.#timer ??= this.platform.clock.after(GATHER_MS, () => this.#start())
  }

  /** Never rejects: a failure is kept, and told to those who wait. */
  async #write(): Promise<void> {
    const frames = this.#waiting
    const sizeBytes = this.#waitingBytes
    const waiters = this.#waiters
    this.#waiting = []
    this.#waitingBytes = 0
    this.#waiters = []
    try {
      this.#journal ??= await this.#openJournal(MAGIC)
      await writeAll(this.#journal, frames)
      await this.#journal.datasync()
      this.#journalBytes += sizeBytes
      for (const { resolve } of waiters) resolve()
      if (this.#journalBytes > Math.max(COMPACT_BYTES, this.#snapshotBytes)) void this.#compact()
    } catch (error) {
      this.#fail(error)
      for (const { reject } of waiters) reject(this.#failure)
    }
  }

  async #openJournal(magic: Buffer): Promise<FileHandle> {
    await makeFolder(this.folder)
    const journal = await open(path.join(this.folder, `journal-${this.#number}`), 'a', 0o600)
    if ((await journal.stat()).size === 0) await journal.write(magic)
    await syncFolder(this.folder)
    return journal
  }

  #fail(error: unknown): void {
    const { logger, clock } = this.platform
    const reason = error instanceof Error ? error.message : String(error)
    if (this.#failure === undefined) {
      logger.error({ err: error, folder: this.folder }, 'features in memory cannot be written')
    }
    this.#failure = FeatureErrors.STORE_NOT_KEPT({ folder: this.folder, reason }, error)
    this.#losses++
    this.#isTaking = false
    this.#waiting = []
    this.#waitingBytes = 0
    for (const { reject } of this.#waiters.splice(0)) reject(this.#failure)
    if (!this.#isClosed) clock.after(RETRY_MS, () => void this.#retry())
  }

  async #retry(): Promise<void> {
    if (this.#failure !== undefined && !this.#isClosed) await this.#compact()
  }

  /** Makes a snapshot of the table and begins a journal. Never rejects. */
  #compact(): Promise<void> {
    this.#compacting ??= this.#snapshot().then(() => {
      this.#compacting = undefined
    })
    return this.#compacting
  }

  async #snapshot(): Promise<void> {
    const number = this.#number + 1
    const file = path.join(this.folder, `snapshot-${number}`)
    try {
      await this.#rotate(number)
      const losses = this.#losses
      const sizeBytes = await writeSnapshot(`${file}.new`, this.table)
      // The snapshot may hold what the journal does not yet: states without the position that they are of.
      await this.table.checkpointing
      await this.#drain()
      if (this.#losses > losses) throw this.#failure
      await rename(`${file}.new`, file)
      await syncFolder(this.folder)
      this.#failure = undefined
      this.#snapshotBytes = sizeBytes
      for (const name of await readdir(this.folder)) {
        const of = /^(?:snapshot|journal)-(\d+)$/.exec(name)?.[1]
        if (of !== undefined && Number(of) < number) await rm(path.join(this.folder, name))
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  /** From here on, what changes goes to the new journal: whether the snapshot has it or not does not matter. */
  async #rotate(number: number): Promise<void> {
    this.#isRotating = true
    try {
      await this.#writing
      await this.#journal?.close()
      this.#journal = undefined
      this.#number = number
      this.#journalBytes = 0
      this.#journal = await this.#openJournal(this.#failure === undefined ? MAGIC : AFTER_LOSS_MAGIC)
      this.#isTaking = true
    } finally {
      this.#isRotating = false
      this.#written()
    }
  }
}

/** Ends the names of folders that are on their way out. */
export const DROPPED = '.dropped'

function numbersOf(names: readonly string[], kind: 'snapshot' | 'journal'): number[] {
  return names
    .flatMap((name) => new RegExp(`^${kind}-(\\d+)$`).exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

async function readInto(file: string, table: MemoryTable, { clock, logger }: Platform): Promise<ReadFile> {
  const turns = new Turns(clock)
  const sink = sinkOf(table)
  try {
    return await readTransactions(file, async (payloads) => {
      for (const payload of payloads) {
        readEntries(payload, sink)
        const pause = turns.next(payload.length)
        if (pause) await pause
      }
    })
  } catch (error) {
    if (!(error instanceof HeadraceError)) throw error
    logger.error({ err: error, file }, 'a file of stored features cannot be read')
    return { wholeBytes: 0, isDamaged: true }
  }
}

/** Each piece is a transaction of its own: a snapshot counts as a whole by its name. */
const PIECE_ENTRIES = 256

async function writeSnapshot(file: string, table: MemoryTable): Promise<number> {
  const handle = await open(file, 'w', 0o600)
  const frames = new FrameWriter()
  let sizeBytes = MAGIC.length
  let entries = 0
  try {
    await handle.write(MAGIC)
    if (table.mark) frames.mark(table.mark)
    for (const [stream, at] of table.keptPositions) frames.position(stream, at)
    for (const [key, { eventMs, knownMs, values }] of table.rows) {
      frames.row(key, eventMs, knownMs, values)
      if (++entries % PIECE_ENTRIES === 0) sizeBytes += await writeAll(handle, frames.transaction())
    }
    for (const [key, { newestEventMs, bytes }] of table.states) {
      if (bytes === undefined) continue
      frames.state(key, newestEventMs, bytes)
      if (++entries % PIECE_ENTRIES === 0) sizeBytes += await writeAll(handle, frames.transaction())
    }
    sizeBytes += await writeAll(handle, frames.transaction())
    await handle.datasync()
    return sizeBytes
  } finally {
    await handle.close()
  }
}

/** Written together in pieces of this size. */
const PIECE_BYTES = 1 << 20

async function writeAll(file: FileHandle, frames: readonly Buffer[]): Promise<number> {
  let sizeBytes = 0
  for (let from = 0; from < frames.length; ) {
    let pieceBytes = 0
    let until = from
    while (until < frames.length && pieceBytes < PIECE_BYTES) pieceBytes += frames[until++]!.length
    const piece = frames.slice(from, until)
    const { bytesWritten } = await file.writev(piece)
    if (bytesWritten < pieceBytes) await writeRest(file, Buffer.concat(piece), bytesWritten)
    sizeBytes += pieceBytes
    from = until
  }
  return sizeBytes
}

async function writeRest(file: FileHandle, bytes: Buffer, from: number): Promise<void> {
  for (let at = from; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at)).bytesWritten
}
