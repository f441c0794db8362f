// What every bench prints and stores: where it ran, every round, the medians, and the ratio to the first subject.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

/** Where and on what a bench or a proof ran. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly platform: string
  readonly node: string
  /** 1, 5 and 15 minutes, at the start. Above the number of cores, rates mean little: read CPU time. */
  readonly loadAverage: readonly number[]
  /** Short hash, with `+` where the working tree differs from it; empty outside a git checkout. */
  readonly commit: string
  readonly startedAt: string
}

/** The figures of one round of one subject, by name; the unit is in the name (`cpuUsPerRequest`). */
export type Figures = Readonly<Record<string, number>>

export interface Report {
  readonly bench: string
  readonly question: string
  readonly machine: Machine
  /** In the order of the columns; the first is what the others are compared with. */
  readonly subjects: readonly SubjectReport[]
}

export interface SubjectReport {
  readonly name: string
  readonly rounds: readonly Figures[]
  readonly medians: Figures
  /** Median over the first subject's median. */
  readonly ratios: Figures
}

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return ''
  }
}

export function describeMachine(): Machine {
  const commit = git('rev-parse', '--short', 'HEAD')
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    loadAverage: loadavg().map((value) => Math.round(value * 100) / 100),
    commit: commit !== '' && git('status', '--porcelain') !== '' ? `${commit}+` : commit,
    startedAt: new Date().toISOString(),
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/**
 * Makes the report from every round of every subject. Take `machine` before the first round.
 * Alternate the subjects when measuring (A B A B, not A A B B), each round in a fresh process.
 */
export function makeReport(
  bench: string,
  question: string,
  machine: Machine,
  subjects: Readonly<Record<string, readonly Figures[]>>,
): Report {
  const all: SubjectReport[] = []
  for (const [name, rounds] of Object.entries(subjects)) {
    const names = Object.keys(rounds[0] ?? {})
    const medians = Object.fromEntries(names.map((figure) => [figure, median(rounds.map((round) => round[figure]!))]))
    const base = all[0]?.medians ?? medians
    const ratios = Object.fromEntries(names.map((figure) => [figure, medians[figure]! / base[figure]!]))
    all.push({ name, rounds, medians, ratios })
  }
  return { bench, question, machine, subjects: all }
}

/** The report as Markdown, for the screen and for a README. */
export function formatReport({ bench, question, machine, subjects }: Report): string {
  const { cpu, cores, memoryGiB, platform, node, loadAverage, commit, startedAt } = machine
  const lines = [
    `## ${bench}: ${question}`,
    '',
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}, Node ${node}, load ${loadAverage.join(' ')}, commit ${commit || 'unknown'}, ${startedAt}`,
    '',
    `| figure | ${subjects.map(({ name }) => name).join(' | ')} |`,
    `| --- | ${subjects.map(() => '---:').join(' | ')} |`,
  ]
  for (const figure of Object.keys(subjects[0]?.medians ?? {})) {
    const cells = subjects.map(({ medians, ratios }, column) => {
      const ratio = ratios[figure]!
      const compared = column > 0 && Number.isFinite(ratio) ? ` (${ratio.toFixed(2)}×)` : ''
      return `**${digits(medians[figure]!)}**${compared}`
    })
    lines.push(`| ${figure}, median | ${cells.join(' | ')} |`)
    const rounds = subjects.map((subject) => subject.rounds.map((round) => digits(round[figure]!)).join(' '))
    lines.push(`| ${figure}, rounds | ${rounds.join(' | ')} |`)
  }
  return lines.join('\n')
}

/** Prints the report and leaves it as JSON in `bench/results/`, which is not committed. */
export function publish(report: Report): void {
  const folder = fileURLToPath(new URL('../results/', import.meta.url))
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}${report.bench}.json`, `${JSON.stringify(report, null, 2)}\n`)
  console.log(formatReport(report))
}

function digits(value: number): string {
  if (Number.isInteger(value)) return String(value)
  if (Math.abs(value) >= 1000) return value.toFixed(0)
  return value.toPrecision(3)
}
