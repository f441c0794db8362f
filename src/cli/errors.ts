import { defineErrors } from '../core/index.js'

export const CliErrors = defineErrors('CLI', {
  USAGE: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { problem: string; help: string }) => `${p.problem} See "${p.help}".`,
  },
  SERVER_UNREACHABLE: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { url: string; reason: string }) =>
      `No server answers at ${p.url} (${p.reason}). Start one with "headrace serve", or leave --server out to open the data folder itself.`,
  },
  NO_SERVER: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { dataDir: string }) =>
      `No server has ${p.dataDir} open. Start one with "headrace serve", or name one with --server.`,
  },
  NO_OPENER: {
    status: 501,
    retry: false,
    level: 'error',
    message: (p: { command: string; url: string }) =>
      `"${p.command}", which opens addresses here, cannot be run. Open ${p.url} yourself.`,
  },
  SERVER_ANSWER: {
    status: 502,
    retry: false,
    level: 'error',
    message: (p: { status: number; found: string }) =>
      `The server answered ${p.status} with what no Headrace server says: ${p.found}. Check --server.`,
  },
  FILE_UNREADABLE: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { file: string; reason: string }) => `${p.file} cannot be read: ${p.reason}.`,
  },
  FILE_UNWRITABLE: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { file: string; reason: string }) => `${p.file} cannot be written: ${p.reason}.`,
  },
  SCRIPT_NOT_SENT: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { file: string }) =>
      `${p.file} is a script, which is code that the server runs, so it is not sent over HTTP. Push it where the server's models folder is, without --server.`,
  },
  DESCRIPTION_NOT_SENT: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { file: string }) =>
      `${p.file} says where the server sends its requests, so it is not sent over HTTP. Push it where the server's models folder is, without --server.`,
  },
  NOT_EMPTY: {
    status: 409,
    retry: false,
    level: 'error',
    message: (p: { folder: string; found: string }) =>
      `${p.folder} already has ${p.found}. Choose another folder; nothing is overwritten.`,
  },
  FEATURES_DIFFER: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { service: string; matchRate: number; minMatch: number }) =>
      `${(100 * p.matchRate).toFixed(2)} % of what was served of "${p.service}" matches its definitions; ${(100 * p.minMatch).toFixed(2)} % was asked for. The report says where.`,
  },
  FEATURES_NOT_COMPARED: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { service: string }) =>
      `Nothing of "${p.service}" was compared, so no share of it matches: nothing was served, or none of it is kept in the log. Look further back with --since.`,
  },
  EXPECTATIONS_BROKEN: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { view: string }) => `The rows of "${p.view}" break expectations. The report says which, and where.`,
  },
})
