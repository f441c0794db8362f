// Files that a command is told to write.
import { writeFile } from 'node:fs/promises'
import { CliErrors } from './errors.js'

/** In place of what is there. Throws CLI_FILE_UNWRITABLE. */
export function writeOutput(file: string, text: string): Promise<void> {
  return writeFile(file, text).catch((error: NodeJS.ErrnoException) => {
    throw unwritable(file, error)
  })
}

export function unwritable(file: string, error: NodeJS.ErrnoException): Error {
  const reason =
    error.code === 'ENOENT'
      ? 'there is no such folder'
      : error.code === 'EEXIST'
        ? 'there is a file already, and nothing is overwritten'
        : error.message
  return CliErrors.FILE_UNWRITABLE({ file, reason }, error)
}
