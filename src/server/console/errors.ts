// What can go wrong with the console's files. The page has two codes of its own, for when there is no answer to show (console/src/api).
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
})
