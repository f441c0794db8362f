// Folders and failing disks for the prediction log's tests.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { ManualClock, type Platform, type Timer, testPlatform } from '../../src/core/index.js'
import type { LogFile, LogFiles } from '../../src/log/files.js'
import { realFiles } from '../../src/log/files.js'
import type { FileLog, LogOptions } from '../../src/log/index.js'
import { openLog } from '../../src/log/index.js'

/** A folder that is removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-log-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Forgets timers of a minute and more, so that retention runs only when a test says so. */
class ClockWithoutJanitor extends ManualClock {
  override after(delayMs: number, callback: () => void): Timer {
    return delayMs < 60_000 ? super.after(delayMs, callback) : { cancel: () => undefined }
  }
}

/** A log on virtual time that is closed after the test. */
export async function openTestLog(
  options: Partial<LogOptions> & { hasJanitor?: boolean } = {},
): Promise<{ log: FileLog; clock: ManualClock; platform: Platform }> {
  const clock = options.hasJanitor ? new ManualClock() : new ClockWithoutJanitor()
  const platform = testPlatform({ clock, ...options.platform })
  const log = await openLog({ folder: options.folder ?? (await temporaryFolder()), ...options, platform })
  onTestFinished(() => log.close())
  return { log, clock, platform }
}

type Operation = 'open' | 'read' | 'write' | 'datasync' | 'truncate' | 'rename' | 'remove' | 'syncFolder'

export function diskError(code: 'ENOSPC' | 'EIO'): Error {
  return Object.assign(new Error(`${code}: the disk says no`), { code })
}

/** The real disk, until told otherwise: operations can fail, wait, or write less than asked for. */
export class FaultyFiles implements LogFiles {
  /** What was done, as `write 0000000000000001.ndjson`. */
  readonly done: string[] = []
  /** The error an operation fails with; undefined lets it happen. */
  fail: (operation: Operation, name: string) => Error | undefined = () => undefined
  /** What an operation waits for first. */
  wait: (operation: Operation, name: string) => Promise<void> | undefined = () => undefined
  /** Changes what was read, as a read that overtakes a write would. */
  spoil: (bytes: Uint8Array) => void = () => undefined
  /** Bytes that one write takes at most. */
  writeBytes = Number.POSITIVE_INFINITY

  async open(path: string, flags: 'r' | 'r+' | 'wx'): Promise<LogFile> {
    await this.#begin('open', path)
    const file = await realFiles.open(path, flags)
    // A segment is made under another name; its life is followed under its own.
    const name = path.replace(/\.tmp$/, '')
    return {
      read: async (buffer, offset, length, position) => {
        await this.#begin('read', name)
        const bytes = await file.read(buffer, offset, length, position)
        this.spoil(buffer.subarray(offset, offset + bytes))
        return bytes
      },
      write: async (buffer, offset, length, position) => {
        await this.#begin('write', name)
        return file.write(buffer, offset, Math.min(length, this.writeBytes), position)
      },
      datasync: async () => {
        await this.#begin('datasync', name)
        return file.datasync()
      },
      truncate: async (sizeBytes) => {
        await this.#begin('truncate', name)
        return file.truncate(sizeBytes)
      },
      size: () => file.size(),
      close: () => file.close(),
    }
  }

  list(folder: string): Promise<string[]> {
    return realFiles.list(folder)
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin('rename', to)
    return realFiles.rename(from, to)
  }

  async remove(path: string): Promise<void> {
    await this.#begin('remove', path)
    return realFiles.remove(path)
  }

  async syncFolder(folder: string): Promise<void> {
    await this.#begin('syncFolder', folder)
    return realFiles.syncFolder(folder)
  }

  async #begin(operation: Operation, path: string): Promise<void> {
    const name = basename(path)
    await this.wait(operation, name)
    const error = this.fail(operation, name)
    if (error) throw error
    this.done.push(`${operation} ${name}`)
  }
}
