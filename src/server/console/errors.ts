// What can go wrong with the console. The server sends the first two; the others are shown by the page itself (console/src/api), which
// has no answer of the server to show then.
import { defineErrors } from '../../core/index.js'

export const ConsoleErrors = defineErrors('CONSOLE', {
  NOT_BUILT: {
    status: 503,
    retry: false,
    level: 'warn',
    message: () =>
      'The console has not been built. In a checkout run "npm run build"; an installed package has it, so install that again.',
  },
  FILE_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { file: string }) =>
      `The console has no file "${p.file}". It belongs to a page of another version of Headrace: load the page again.`,
  },
  SERVER_UNREACHABLE: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { host: string }) =>
      `The server at ${p.host} does not answer. Start it again with "headrace serve"; the page goes on by itself.`,
  },
  FAILED: {
    status: 500,
    retry: true,
    level: 'error',
    message: (p: { reason: string }) => `The page met something it does not know: ${p.reason}. Load it again.`,
  },
})
