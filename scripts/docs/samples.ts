// The samples of a page: fenced blocks whose info string asks for them to be executed. CONTRIBUTING.md lists the marks.

export interface Sample {
  readonly kind: 'run' | 'serve' | 'check'
  /** Line of the first line of text, counted from 1. */
  readonly line: number
  readonly text: string
  /** Folder to run in, from the root of the repository. */
  readonly folder: string
  /** Lines that the output has to hold in this order; `…` stands for anything. */
  readonly output: readonly string[] | undefined
}

/** Executable samples in the order of the page. Throws where a mark makes no sense. */
export function samplesOf(markdown: string): Sample[] {
  const samples: Sample[] = []
  const lines = markdown.split('\n')
  let previousEnd = -1
  for (let at = 0; at < lines.length; at += 1) {
    const fence = /^( *)(`{3,})(.*)$/.exec(lines[at]!)
    if (fence === null) continue
    const [, indent, ticks, info] = fence as unknown as [string, string, string, string]
    const end = lines.findIndex((line, index) => index > at && line.trim() === ticks)
    if (end < 0) throw new Error(`line ${at + 1}: the code block is not closed`)
    const body = lines.slice(at + 1, end).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
    const [language, mark, ...options] = info.trim().split(/\s+/)
    if (mark === 'output') {
      const last = samples.at(-1)
      const isNext = previousEnd >= 0 && lines.slice(previousEnd + 1, at).every((line) => line.trim() === '')
      if (last?.kind !== 'run' || !isNext) throw new Error(`line ${at + 1}: an "output" block follows a "run" block`)
      samples[samples.length - 1] = { ...last, output: body }
    } else if (mark !== undefined) {
      samples.push({ ...sampleOf(language, mark, options, at + 1), line: at + 2, text: body.join('\n') })
    }
    previousEnd = mark === 'run' ? end : -1
    at = end
  }
  return samples
}

function sampleOf(
  language: string | undefined,
  mark: string,
  options: readonly string[],
  line: number,
): Pick<Sample, 'kind' | 'folder' | 'output'> {
  if (mark === 'check' && language === 'ts' && options.length === 0)
    return { kind: 'check', folder: '.', output: undefined }
  if ((mark === 'run' || mark === 'serve') && language === 'sh') {
    const folder = options.length === 0 ? '.' : /^in=([\w./-]+)$/.exec(options.join(' '))?.[1]
    if (folder !== undefined) return { kind: mark, folder, output: undefined }
  }
  const info = [language, mark, ...options].join(' ')
  throw new Error(`line ${line}: "${info}" is none of: sh run [in=folder], sh serve [in=folder], ts check, text output`)
}

/** The first expected line that `actual` does not hold at or after the place of the one before; undefined if all do. */
export function missingLine(actual: string, expected: readonly string[]): string | undefined {
  const lines = actual.split('\n').map((line) => line.trim())
  let from = 0
  for (const line of expected) {
    if (line.trim() === '' || line.trim() === '…') continue
    const pattern = new RegExp(`^${line.trim().split('…').map(escapeRegex).join('.*')}$`)
    const found = lines.findIndex((text, index) => index >= from && pattern.test(text))
    if (found < 0) return line
    from = found + 1
  }
  return undefined
}

const escapeRegex = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
