// What a process prints, as lines for the log: nothing that runs models prints by itself, so a line is a last word or a nuisance,
// and of a nuisance a part is enough.
import type { Readable } from 'node:stream'
import type { Clock } from '../../core/index.js'

const MAX_LINE_CHARS = 2000
const MAX_LINES = 100
const PERIOD_MS = 60_000

/** Calls `onLine` with each line, at most 100 a minute, and then once with how many were left out. */
export function readLines(stream: Readable, clock: Clock, onLine: (line: string) => void): void {
  let rest = ''
  let lines = 0
  let leftOut = 0
  let periodEndsMs = 0

  function tell(line: string): void {
    const nowMs = clock.monotonicMs()
    if (nowMs >= periodEndsMs) {
      if (leftOut > 0) onLine(`${leftOut} more lines`)
      periodEndsMs = nowMs + PERIOD_MS
      lines = 0
      leftOut = 0
    }
    if (++lines <= MAX_LINES) onLine(line.slice(0, MAX_LINE_CHARS))
    else leftOut++
  }

  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop()!
    for (const part of parts) if (part !== '') tell(part)
    // A line without an end must not gather.
    if (rest.length > MAX_LINE_CHARS) {
      tell(rest)
      rest = ''
    }
  })
  stream.on('end', () => {
    if (rest !== '') tell(rest)
    if (leftOut > 0) onLine(`${leftOut} more lines`)
  })
  // The end of the process is noticed elsewhere.
  stream.on('error', () => undefined)
}
