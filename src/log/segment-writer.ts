// Appends sealed blocks to segment files. One call at a time. After any error the file is never written again: a failed
// sync may have thrown the pages away and report success next time, so the block goes to a new segment.
import { join } from 'node:path'
import type { Logger } from '../core/index.js'
import type { LogFile, LogFiles } from './files.js'
import type { Recovered } from './recovery.js'
import { segmentName, unfinishedName } from './segment.js'
import type { LogPosition } from './types.js'

interface OpenSegment {
  readonly file: LogFile
  readonly path: string
  /** Bytes of whole, synced blocks. */
  sizeBytes: number
  readonly startedMs: number
}

export interface SegmentLimits {
  readonly segmentBytes: number
  readonly segmentMs: number
}

export class SegmentWriter {
  #current: OpenSegment | undefined
  #broken: { path: string; sizeBytes: number } | undefined

  constructor(
    private readonly files: LogFiles,
    private readonly folder: string,
    private readonly limits: SegmentLimits,
    private readonly logger: Logger,
  ) {}

  /** Continues the newest segment of a folder. */
  async resume(newest: NonNullable<Recovered['newest']>, nowMs: number): Promise<void> {
    const { path } = newest.segment
    const file = await this.files.open(path, 'r+')
    this.#current = { file, path, sizeBytes: newest.sizeBytes, startedMs: newest.startedMs ?? nowMs }
  }

  /** Writes and syncs one block. When it rejects, call it again with the same block, later. */
  async write(block: Buffer, firstSeq: LogPosition, nowMs: number): Promise<void> {
    if (this.isDue(nowMs, block.length)) await this.seal()
    this.#current ??= await this.#create(firstSeq, nowMs)
    const current = this.#current
    try {
      for (let done = 0; done < block.length; ) {
        const written = await current.file.write(block, done, block.length - done, current.sizeBytes + done)
        if (written === 0) throw new Error('the disk accepted no bytes')
        done += written
      }
      await current.file.datasync()
    } catch (error) {
      this.#broken = { path: current.path, sizeBytes: current.sizeBytes }
      await this.seal()
      throw error
    }
    current.sizeBytes += block.length
  }

  /** Whether the segment has blocks and is old enough, or would grow too large, to be sealed before the next block. */
  isDue(nowMs: number, blockBytes: number): boolean {
    const current = this.#current
    if (!current || current.sizeBytes === 0) return false
    const isFull = current.sizeBytes + blockBytes > this.limits.segmentBytes
    return isFull || nowMs - current.startedMs >= this.limits.segmentMs
  }

  /** Closes the current segment; the next block starts another. */
  async seal(): Promise<void> {
    const current = this.#current
    this.#current = undefined
    try {
      await current?.file.close()
    } catch (error) {
      // Everything acknowledged is synced already; what closing could still report changes nothing.
      this.logger.warn({ err: error, path: current?.path }, 'Closing a log segment failed')
    }
  }

  /** Starts the segment of the next block before there is one. Never rejects: without it `write` starts one. */
  async roll(nextSeq: LogPosition, nowMs: number): Promise<void> {
    await this.seal()
    try {
      this.#current = await this.#create(nextSeq, nowMs)
    } catch (error) {
      this.logger.warn({ err: error, folder: this.folder }, 'Starting a new log segment failed')
    }
  }

  async #create(firstSeq: LogPosition, nowMs: number): Promise<OpenSegment> {
    if (this.#broken) await this.#cutBroken(this.#broken)
    const name = segmentName(firstSeq)
    const path = join(this.folder, name)
    // Made under another name first: when the broken segment held nothing yet, this one takes its name in one step,
    // so that at every moment the newest name says where positions continue.
    const unfinished = join(this.folder, unfinishedName(name))
    const file = await createFresh(this.files, unfinished)
    try {
      await this.files.rename(unfinished, path)
      await this.files.syncFolder(this.folder)
    } catch (error) {
      await file.close()
      throw error
    }
    this.#broken = undefined
    return { file, path, sizeBytes: 0, startedMs: nowMs }
  }

  /** Removes the half-written block, which the new segment will hold. Readers also cope when this fails. */
  async #cutBroken(broken: { path: string; sizeBytes: number }): Promise<void> {
    if (broken.sizeBytes === 0) return
    try {
      const file = await this.files.open(broken.path, 'r+')
      try {
        await file.truncate(broken.sizeBytes)
        await file.datasync()
      } finally {
        await file.close()
      }
    } catch (error) {
      this.logger.warn({ err: error, path: broken.path }, 'A log segment that failed could not be cut back')
    }
  }
}

/** A new empty file, whatever an earlier attempt left there. */
export async function createFresh(files: LogFiles, path: string): Promise<LogFile> {
  try {
    return await files.open(path, 'wx')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    await files.remove(path)
    return files.open(path, 'wx')
  }
}
