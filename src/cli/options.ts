// Options that every command understands, wherever they stand, and the kinds of values that options take.
import { type Command, InvalidArgumentError } from 'commander'
import type { GlobalOptions } from './context.js'

/** Options of the program with those given after the command laid over them. */
export function globalOptions(command: Command): GlobalOptions {
  return command.optsWithGlobals() as GlobalOptions
}

/** For `.option('--port <number>', …, wholeNumber)`. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Give a whole number.')
  return Number(text)
}
