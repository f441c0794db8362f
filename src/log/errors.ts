// What can go wrong with the log. Appending never fails: these come from waiting, opening and reading.
import { defineErrors } from '../core/index.js'

export const LogErrors = defineErrors('LOG', {
  WRITE_FAILED: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { folder: string; reason: string }) =>
      `The prediction log in ${p.folder} cannot be written (${p.reason}). Writing is retried; free space or repair the disk.`,
  },
  DROPPED: {
    status: 503,
    retry: true,
    level: 'warn',
    message: () =>
      'The record was dropped because the log\'s buffer was full. Raise "log.bufferBytes" or use a faster disk for the data folder.',
  },
  CLOSED: {
    status: 503,
    retry: true,
    level: 'info',
    message: () => 'The prediction log is closed because the server is stopping. Send the request again.',
  },
  OPEN_FAILED: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { folder: string; reason: string }) =>
      `The prediction log in ${p.folder} cannot be opened (${p.reason}). Check that the folder is there and can be read and written.`,
  },
  QUERY_FAILED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { reason: string }) =>
      `The query over the log failed: ${p.reason} Views: predictions, calls, outcomes, decisions, records.`,
  },
})
