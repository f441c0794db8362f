// The demo on a screen: redrawn in place on a terminal, one line a second everywhere else.
import { type Counts, FAILED, type Now } from './tally.js'

export interface Scene {
  readonly title: string
  readonly elapsedMs: number
  readonly totalMs: number
  readonly act: string
  readonly isFault: boolean
  readonly endpoints: readonly Now[]
  readonly past: readonly Past[]
}

/** An act that is over. */
export interface Past {
  readonly act: string
  readonly counts: Counts
}

export interface View {
  show(scene: Scene): void
  /** Leaves the terminal as it was. */
  end(): void
}

const CLEAR = '\x1b[H\x1b[J'
const HIDE = '\x1b[?1049h\x1b[?25l'
const BACK = '\x1b[?25h\x1b[?1049l'
const paint = (code: number) => (text: string) => `\x1b[${code}m${text}\x1b[0m`
const bold = paint(1)
const dim = paint(2)
const red = paint(31)
const green = paint(32)
const yellow = paint(33)

export function createView(stream: NodeJS.WriteStream, isPlain: boolean): View {
  return isPlain ? createPlainView(stream) : createScreen(stream)
}

function createPlainView(stream: NodeJS.WriteStream): View {
  let lastSecond = -1
  let lastAct = ''
  return {
    show({ elapsedMs, act, endpoints }) {
      const second = Math.floor(elapsedMs / 1000)
      if (second === lastSecond && act === lastAct) return
      if (act !== lastAct) stream.write(`--- ${act}\n`)
      lastSecond = second
      lastAct = act
      const cells = endpoints.map(
        (now) =>
          `${now.endpoint} ${now.perSecond.toFixed(0)}/s p99 ${now.p99Ms.toFixed(0)} ms ${sharesOf(now.by)} failed ${now.failed}`,
      )
      stream.write(`${String(second).padStart(3)} s  ${cells.join(' | ')}\n`)
    },
    end() {},
  }
}

function createScreen(stream: NodeJS.WriteStream): View {
  stream.write(HIDE)
  return {
    show(scene) {
      stream.write(CLEAR + drawing(scene, stream.columns))
    },
    end() {
      stream.write(BACK)
    },
  }
}

function drawing({ title, elapsedMs, totalMs, act, isFault, endpoints, past }: Scene, columns: number): string {
  const width = Math.max(20, Math.min(columns - 24, 60))
  const done = Math.min(width, Math.round((elapsedMs / totalMs) * width))
  const lines = [
    bold(title),
    `${green('━'.repeat(done))}${dim('━'.repeat(width - done))} ${Math.round(elapsedMs / 1000)} of ${Math.round(totalMs / 1000)} s`,
    '',
    `now  ${isFault ? red(bold(act)) : green(act)}`,
    '',
    dim('endpoint          answers/s   p99 ms   answered by                                          failed'),
    ...endpoints.map(
      ({ endpoint, perSecond, p99Ms, by, failed }) =>
        `${endpoint.padEnd(16)}${perSecond.toFixed(0).padStart(11)}${p99Ms.toFixed(1).padStart(9)}   ${colours(by, 52)}${(failed > 0 ? red : dim)(String(failed).padStart(7))}`,
    ),
    '',
    ...past.map(({ act, counts }) => {
      const mark = counts.failed === 0 ? green('✓') : red('✗')
      return `${mark} ${act.padEnd(34)} ${dim(`${counts.requests} asked, ${counts.failed} without an answer, p99 ${counts.p99Ms.toFixed(0)} ms`)}`
    }),
  ]
  return `${lines.join('\n')}\n`
}

/** `v2 93 %  v1 instead 7 %`, what is second best in yellow. */
function colours(by: Now['by'], width: number): string {
  const text = sharesOf(by)
  const padding = ' '.repeat(Math.max(0, width - text.length))
  return (
    shares(by)
      .map((share) => colourOf(share)(share))
      .join('  ') + padding
  )
}

function colourOf(share: string): (text: string) => string {
  if (share.startsWith(FAILED)) return red
  return /^(v\d+|cached) \d/.test(share) ? green : yellow
}

function sharesOf(by: Now['by']): string {
  return by.length === 0 ? '-' : shares(by).join('  ')
}

function shares(by: Now['by']): string[] {
  const all = by.reduce((sum, [, count]) => sum + count, 0)
  return by.map(([name, count]) => `${name} ${Math.round((count / all) * 100)} %`)
}
