import { LogErrors } from './errors.js'
import type { LogOptions } from './options.js'
import type { FileLog } from './types.js'

/** Opens the log in a folder. Throws LOG_OPEN_FAILED. */
export async function openLog(options: LogOptions): Promise<FileLog> {
  throw LogErrors.OPEN_FAILED({ folder: options.folder, reason: 'the file log is being written' })
}
