// Files that a command is given to read.
import { readFile } from 'node:fs/promises'
import { CliErrors } from './errors.js'

/** Throws CLI_FILE_UNREADABLE. */
export function readInput(file: string): Promise<Buffer> {
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'ENOENT' ? 'there is no such file' : error.message
    throw CliErrors.FILE_UNREADABLE({ file, reason }, error)
  })
}
