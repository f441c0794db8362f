// The small things every page is made of.
import type { ReactNode } from 'react'
import { formatExact, formatInterval, formatRatio, formatTime, formatUtc, formatValue } from '../format.js'

/** In the local zone; UTC when the pointer rests on it. */
export function Time({ ms }: { readonly ms: number }) {
  return (
    <time dateTime={new Date(ms).toISOString()} title={formatUtc(ms)}>
      {formatTime(ms, Date.now())}
    </time>
  )
}

export type Tone = 'ok' | 'warn' | 'bad' | 'accent' | 'muted'

export function Badge({ tone, children, title }: { tone: Tone; children: ReactNode; title?: string | undefined }) {
  return (
    <span className={`badge ${tone}`} title={title}>
      {children}
    </span>
  )
}

interface PanelProps {
  readonly title: string
  readonly aside?: ReactNode
  readonly children: ReactNode
  readonly className?: string
}

export function Panel({ title, aside, children, className = '' }: PanelProps) {
  return (
    <section className={`panel ${className}`} aria-label={title}>
      <header className="panel-head">
        <h2>{title}</h2>
        {aside && <div className="panel-aside">{aside}</div>}
      </header>
      {children}
    </section>
  )
}

/** One figure with its name above it. */
export function Figure({ name, value, note, tone }: { name: string; value: string; note?: string; tone?: Tone }) {
  return (
    <div className="figure">
      <dt>{name}</dt>
      <dd className={tone}>{value}</dd>
      {note !== undefined && <dd className="figure-note">{note}</dd>}
    </div>
  )
}

/** Names and values as they come: a report whose fields the console need not know. */
export function Facts({ of }: { readonly of: Readonly<Record<string, unknown>> }) {
  const entries = Object.entries(of)
  if (entries.length === 0) return <span className="muted">nothing</span>
  return (
    <dl className="facts">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{isTime(name, value) ? <Time ms={value} /> : factOf(value)}</dd>
        </div>
      ))}
    </dl>
  )
}

/** Times are called so; what is shorter than thirty years is a duration. */
function isTime(name: string, value: unknown): value is number {
  return name.endsWith('Ms') && typeof value === 'number' && value > 1e12 && value < 1e14
}

function factOf(value: unknown): ReactNode {
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item !== 'object' || item === null)) return value.map(scalar).join(', ') || 'none'
    if (value.every(isObject)) return <FactTable rows={value} />
    return (
      <ol className="facts-list">
        {value.slice(0, MOST_ROWS).map((item, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the list is shown as it came
          <li key={i}>{factOf(item)}</li>
        ))}
      </ol>
    )
  }
  if (isObject(value)) return <Facts of={value} />
  return scalar(value)
}

type Fields = Readonly<Record<string, unknown>>

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Things of one kind, below each other. */
function FactTable({ rows }: { readonly rows: readonly Fields[] }) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].sort((a, b) => place(rows, a) - place(rows, b))
  return (
    <div className="table-plain">
      <table aria-label={`List of ${rows.length}`}>
        <thead>
          <tr>
            {names.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, MOST_ROWS).map((row, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the list is shown as it came
            <tr key={i}>
              {names.map((name) => {
                const value = row[name]
                const text = isObject(value) ? objectText(value) : formatValue(value, 300)
                return (
                  <td key={name} className={text.length > WORDS ? 'wrap' : undefined}>
                    {text}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const MOST_ROWS = 50
/** Longer text is a sentence, and breaks between its words. */
const WORDS = 24

/** Names come first and sentences last: the store keeps fields in the order of the alphabet. */
function place(rows: readonly Fields[], name: string): number {
  const texts = rows.flatMap((row) => (typeof row[name] === 'string' ? [row[name]] : []))
  if (texts.length === 0) return 1
  return texts.some((text) => text.length > WORDS) ? 2 : 0
}

function objectText(of: Fields): string {
  const { estimate, low, high } = of
  if (typeof estimate === 'number' && typeof low === 'number' && typeof high === 'number')
    return `${formatRatio(estimate)} (${formatInterval({ low, high })})`
  return Object.entries(of)
    .map(([name, value]) => `${name} ${formatValue(value)}`)
    .join(', ')
}

function scalar(value: unknown): string {
  if (typeof value === 'number') return formatExact(value)
  return value === null || value === undefined ? 'none' : String(value)
}
