// What the processes of a node say about themselves: each part is read from whoever offers it when a report is due.
import type { Platform, Stop } from '../../core/index.js'

export type ReportParts = Readonly<Record<string, unknown>>

export class Reports {
  readonly #parts = new Map<string, () => unknown>()
  /** Of other processes of this node, by process id. */
  readonly #others = new Map<number, ReportParts>()

  /** `read` gives plain data, in little time: it is asked about once a second. */
  offer(part: string, read: () => unknown): void {
    this.#parts.set(part, read)
  }

  own(): ReportParts {
    const parts: Record<string, unknown> = {}
    for (const [part, read] of this.#parts) parts[part] = read()
    return parts
  }

  heard(pid: number, parts: ReportParts | undefined): void {
    if (parts === undefined) this.#others.delete(pid)
    else this.#others.set(pid, parts)
  }

  /** Of a node of several processes the first does not serve: it has a report of its own only if it has something to say. */
  all(pid: number): ProcessReport[] {
    const own = { pid, parts: this.own() }
    const others = [...this.#others].map(([other, parts]) => ({ pid: other, parts }))
    return others.length > 0 && this.#parts.size === 0 ? others : [own, ...others]
  }
}

export interface ProcessReport {
  readonly pid: number
  /** `url`, `versions`, `releases`: what parts of the server offered. */
  readonly parts: ReportParts
}

const TELL_MS = 1_000

/** Tells the process that writes the node's report what this one says, when that has changed. */
export function tellReports(
  reports: Reports,
  tell: (parts: ReportParts) => void,
  { clock }: Pick<Platform, 'clock'>,
): { readonly stop: Stop } {
  let told = ''
  let timer = clock.after(TELL_MS, look)
  function look(): void {
    const parts = reports.own()
    const text = JSON.stringify(parts)
    if (text !== told) tell(JSON.parse(text) as ReportParts)
    told = text
    timer = clock.after(TELL_MS, look)
  }
  return { stop: () => timer.cancel() }
}
