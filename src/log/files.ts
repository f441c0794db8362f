// The file operations the log needs, small enough for a test to make any of them fail.
// All go through libuv's thread pool: nothing here blocks the event loop.
import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises'

export interface LogFile {
  /** Bytes read, 0 at the end of the file. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>
  /** Bytes written, which may be fewer than asked for. */
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>
  /** Contents and size survive power loss afterwards. */
  datasync(): Promise<void>
  truncate(sizeBytes: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

export interface LogFiles {
  /** `r` reads, `r+` reads and writes what is there, `wx` creates and fails when it is there. */
  open(path: string, flags: 'r' | 'r+' | 'wx'): Promise<LogFile>
  list(folder: string): Promise<string[]>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Makes creations, renames and removals in the folder survive power loss. */
  syncFolder(folder: string): Promise<void>
}

export const realFiles: LogFiles = {
  open: async (path, flags) => new RealFile(await open(path, flags)),
  list: (folder) => readdir(folder),
  rename,
  remove: unlink,
  async syncFolder(folder) {
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

class RealFile implements LogFile {
  constructor(private readonly handle: FileHandle) {}

  async read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return (await this.handle.read(buffer, offset, length, position)).bytesRead
  }

  async write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return (await this.handle.write(buffer, offset, length, position)).bytesWritten
  }

  datasync(): Promise<void> {
    return this.handle.datasync()
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.handle.truncate(sizeBytes)
  }

  async size(): Promise<number> {
    return (await this.handle.stat()).size
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}
