// Structured JSON logs. Domains receive a Logger; only this file knows which library writes it.
import { type DestinationStream, pino, stdSerializers } from 'pino'
import type { LogLevel } from './errors.js'

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** A logger that adds `fields` to each line. */
  child(fields: object): Logger
}

/**
 * JSON lines on standard error (standard output belongs to commands). Errors go under `err`, with code and cause.
 * Keys that could hold secrets are censored wherever they stand one level deep.
 */
export function createLogger(
  options: { level?: LogLevel | 'silent'; name?: string; destination?: DestinationStream } = {},
): Logger {
  return pino(
    {
      name: options.name ?? 'headrace',
      level: options.level ?? 'info',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      serializers: { err: errorFields },
      redact: [
        'authorization',
        'password',
        'secret',
        'token',
        'apiKey',
        '*.authorization',
        '*.password',
        '*.secret',
        '*.token',
        '*.apiKey',
      ],
    },
    // Synchronous, so that the last lines before a crash are written.
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  )
}

/** Libraries hang on their errors what they worked on: a command with its arguments, an address with its password, a whole reply. */
const SHOWN = [
  'type',
  'message',
  'stack',
  'code',
  'status',
  'retry',
  'params',
  'errno',
  'syscall',
  'address',
  'port',
  'path',
]

function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const all = stdSerializers.err(error) as unknown as Readonly<Record<string, unknown>>
  return Object.fromEntries(SHOWN.filter((key) => all[key] !== undefined).map((key) => [key, all[key]]))
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
}
