// What the demo prints: lines that stay, and on a terminal one more at the bottom that shows the present.
import type { GuardHistory, Release, ReleaseStatus } from 'headrace/release'
import type { Answers } from './customers.js'

const paint = (code: number) => (text: string) => `\x1b[${code}m${text}\x1b[0m`
const plain = (text: string) => text
const CLEAR_LINE = '\r\x1b[K'
/** Around a line that is written over: what does not fit is cut off and not wrapped, where it would stay. */
const NO_WRAP = '\x1b[?7l'
const WRAP = '\x1b[?7h'
const BAR = 24

export type Terminal = ReturnType<typeof createTerminal>

export function createTerminal(stream: NodeJS.WriteStream, isPlain: boolean) {
  const colour = (code: number) => (isPlain ? plain : paint(code))
  const [bold, dim, red, green, yellow] = [colour(1), colour(2), colour(31), colour(32), colour(33)]
  let lastSecond = -1

  function line(text = ''): void {
    stream.write(`${isPlain ? '' : CLEAR_LINE}${text}\n`)
  }

  return {
    ...{ bold, dim, red, green, yellow, line },

    /** The step now, how traffic is divided, and what users got. In plain output once in two seconds. */
    now(status: ReleaseStatus, answers: Answers, perSecond: number): void {
      const second = Math.floor(performance.now() / 2_000)
      if (isPlain && second === lastSecond) return
      lastSecond = second
      const { release, weight, progress } = status
      const filled = Math.round(BAR * weight)
      const bar = `${green('█'.repeat(filled))}${dim('░'.repeat(BAR - filled))}`
      const shown = [
        `  ${bar} ${`${weight * 100} %`.padStart(5)}`,
        `${perSecond.toFixed(0).padStart(4)} payments/s`,
        `version ${release.from}: ${answers.byVersion.get(release.from) ?? 0}, ${release.to}: ${answers.byVersion.get(release.to) ?? 0}`,
        answers.failed === 0 ? dim('0 failed') : red(`${answers.failed} failed`),
        dim(errorsOf(status)),
      ].join('  ')
      if (isPlain) line(`${shown}  ${progress.summary}`)
      else stream.write(`${CLEAR_LINE}${NO_WRAP}${shown}${WRAP}`)
    },
  }
}

function errorsOf({ guards }: ReleaseStatus): string {
  const report = guards.find(({ report }) => report.guard === 'errors')?.report
  return report === undefined ? '' : `errors guard: ${report.candidate} v ${report.reference}, ${report.verdict}`
}

/** Each decision of the release with who made it. */
export function decisionLines({ events }: ReleaseStatus): string[] {
  return [...events]
    .sort((a, b) => a.timeMs - b.timeMs)
    .map(
      ({ timeMs, by, summary }) => `${new Date(timeMs).toISOString().slice(11, 19)}  ${by.name.padEnd(8)} ${summary}`,
    )
}

/** The guards that have seen something, most evidence first. */
export function guardLines(guards: readonly GuardHistory[]): string[] {
  return guards
    .map(({ report }) => report)
    .filter(({ candidate, reference }) => candidate + reference > 0)
    .sort((a, b) => b.eValue - a.eValue)
    .map(({ guard, verdict, summary }) => `${guard.padEnd(16)} ${verdict.padEnd(13)} ${summary}`)
}

export function isOver({ state }: Release): boolean {
  return state !== 'running' && state !== 'paused'
}
