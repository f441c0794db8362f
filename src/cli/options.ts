// Options that every command understands, wherever they stand.
import type { Command } from 'commander'
import type { GlobalOptions } from './context.js'

/** Options of the program with those given after the command laid over them. */
export function globalOptions(command: Command): GlobalOptions {
  return command.optsWithGlobals() as GlobalOptions
}
