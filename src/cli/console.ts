// `headrace console`: where the console of the server that has the project open is.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import type { Command } from 'commander'
import { serverUrl } from './context.js'
import { CliErrors } from './errors.js'
import { globalOptions } from './options.js'
import { print, printJson } from './output.js'

export function addConsole(program: Command): void {
  program
    .command('console')
    .description('print the address of the console of the running server, or open it')
    .option('--open', "open it with the system's browser")
    .addHelpText('after', '\nExample:\n  headrace console --open\n')
    .action(async ({ open }: { readonly open?: true }, command: Command) => {
      const options = globalOptions(command)
      const url = `${await serverUrl(options)}/console/`
      if (options.json) printJson({ url })
      else print(url)
      if (open) await openUrl(url)
    })
}

/** What opens an address, by platform; `start` is a word of the shell, and takes a title first. */
function openerOf(url: string): readonly [command: string, ...args: string[]] {
  if (process.platform === 'darwin') return ['open', url]
  if (process.platform === 'win32') return ['cmd', '/c', 'start', '', url]
  return ['xdg-open', url]
}

async function openUrl(url: string): Promise<void> {
  const [command, ...args] = openerOf(url)
  const child = spawn(command, args, { stdio: 'ignore', detached: true })
  // Only that it has started matters: some openers end with the browser.
  try {
    await once(child, 'spawn')
  } catch (cause) {
    throw CliErrors.NO_OPENER({ command, url }, cause)
  }
  child.unref()
}
