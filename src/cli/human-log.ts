// The server's log for a person at a terminal, a short line each; programs get the JSON lines as they are.
import type { Writable } from 'node:stream'

/** What a line says in other words, or of no interest to someone who watches. */
const LEFT_OUT = new Set(['level', 'time', 'pid', 'hostname', 'name', 'msg', 'err'])

/** Takes the place of a logger's destination. */
export function humanLog(to: Writable): { write(line: string): void } {
  return {
    write(line) {
      const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>
      const rest = Object.entries(fields)
        .filter(([key]) => !LEFT_OUT.has(key))
        .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
      const at = new Date(String(time)).toTimeString().slice(0, 8)
      const marked = level === 'info' ? [] : [String(level).toUpperCase()]
      const code = (err as { readonly code?: unknown } | undefined)?.code
      to.write(`${[at, ...marked, msg, ...rest, ...(code === undefined ? [] : [code])].join(' ')}\n`)
    },
  }
}
