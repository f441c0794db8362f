// How commands speak: results on standard output (text, or JSON with --json), errors on standard error, and the exit status.
import process from 'node:process'
import Table from 'cli-table3'
import { type HeadraceError, toHeadraceError } from '../core/index.js'

/** 0 is success. docs/cli.md lists these. */
export const EXIT = { failed: 1, usage: 2, notFound: 3, unavailable: 4 } as const

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** A table without rules: columns that line up and can be cut and searched. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const none = {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: '',
    'left-mid': '',
    mid: '',
    'mid-mid': '',
    right: '',
    'right-mid': '',
    middle: '  ',
  }
  const result = new Table({
    head: [...head],
    chars: none,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  for (const row of rows) result.push(row.map(String))
  return result
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

/** A number as a person reads it; `--json` has every digit. */
export function shortNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)))
}

/** `3m`, `2h`: the largest unit that says enough. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, ms / 1000)
  if (seconds < 120) return `${Math.round(seconds)}s`
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)}h` : `${Math.round(seconds / 86_400)}d`
}

/** Text that fits into a column of a table. */
export function shortText(text: string, most = 60): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length <= most ? line : `${line.slice(0, most - 1)}…`
}

/** Writes an error for a person, or as JSON, and returns the exit status of its kind. */
export function reportError(thrown: unknown, options: { readonly json?: boolean; readonly verbose?: boolean }): number {
  const error = toHeadraceError(thrown)
  // Here is no server whose log would have the details.
  const message = error.code === 'CORE_INTERNAL' && error.cause instanceof Error ? error.cause.message : error.message
  if (options.json) process.stderr.write(`${JSON.stringify({ error: message, code: error.code })}\n`)
  else process.stderr.write(`${error.code}: ${message}\n`)
  if (options.verbose) process.stderr.write(`${(error.cause instanceof Error ? error.cause : error).stack}\n`)
  return exitStatus(error)
}

/** Refused by the server, and still what was written on the command line. */
const USAGE_CODES = [
  'GATE_NOT_FOUND',
  'GATE_VERSION_NOT_NAMED',
  'RELEASE_PLAN_INVALID',
  'CLI_USAGE',
  'CLI_FILE_UNREADABLE',
  'CLI_FILE_UNWRITABLE',
  'ACCESS_INSECURE_BIND',
  'ROUTE_INVALID',
]

function exitStatus({ code, status }: HeadraceError): number {
  if (code.startsWith('CONFIG_') || USAGE_CODES.includes(code)) return EXIT.usage
  if (status === 404) return EXIT.notFound
  return status === 503 || status === 429 || status === 504 ? EXIT.unavailable : EXIT.failed
}
