// Figures in sentences for people.
import type { Segment } from './types.js'

/** Three significant digits below a thousand, thousands parted by commas above. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const rounded = Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3))
  return rounded
    .toString()
    .replace(/^(-?)(\d{4,})/, (_all, sign: string, digits: string) => sign + digits.replace(/\B(?=(\d{3})+$)/g, ','))
}

/** Of a share. */
export const percent = (share: number): string => `${number(share * 100)} %`

export const counted = (count: number, noun: string): string => `${number(count)} ${noun}${count === 1 ? '' : 's'}`

export function dateText(ms: number, withTime: boolean): string {
  const text = new Date(ms).toISOString()
  return withTime ? text.replace(/\.\d+Z$/, 'Z') : text.slice(0, 10)
}

/** ` Of them 98 % have country = 'DE', 4.9 times its share of all rows.`, or nothing. */
export function segmentText(segments: readonly Segment[]): string {
  const [first] = segments
  if (!first) return ''
  const is = first.value === null ? `have no ${first.column}` : `have ${first.column} = '${first.value}'`
  return ` Of them ${percent(first.share)} ${is}, ${number(first.lift)} times its share of all rows.`
}
