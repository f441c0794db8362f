// Numbers and times for people: three digits that matter, a unit, and always the same width of text for the same kind of thing.

/** Between a number and its unit a line must not break. */
const NBSP = '\u00a0'
export const NOTHING = '–'

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

export function formatCount(n: number): string {
  return WHOLE.format(n)
}

/** Three digits, never in powers of ten. */
export function formatNumber(n: number): string {
  if (!Number.isFinite(n)) return String(n)
  if (Math.abs(n) >= 1000) return formatCount(n)
  return String(Number(n.toPrecision(3)))
}

export function formatRate(perSecond: number): string {
  const digits =
    perSecond === 0 ? '0' : perSecond < 0.1 ? '<0.1' : perSecond < 10 ? perSecond.toFixed(1) : formatCount(perSecond)
  return `${digits}${NBSP}/s`
}

export function formatMs(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NOTHING
  if (ms >= 10_000) return `${formatNumber(Math.round(ms / 100) / 10)}${NBSP}s`
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)}${NBSP}s`
  return `${ms === 0 ? '0' : ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)}${NBSP}ms`
}

/** A share, 0 to 1, as per cent. What is not nothing is not shown as nothing. */
export function formatShare(share: number | null | undefined): string {
  if (share === null || share === undefined || Number.isNaN(share)) return NOTHING
  const percent = share * 100
  if (percent > 0 && percent < 0.01) return `<0.01${NBSP}%`
  if (percent < 100 && percent > 99.99) return `>99.99${NBSP}%`
  const digits = percent === 0 || percent === 100 ? 0 : percent < 1 ? 2 : percent >= 99 ? 2 : 1
  return `${Number(percent.toFixed(digits))}${NBSP}%`
}

/** `errors` of `requests`; nothing where nobody asked. */
export function formatErrors(errors: number, requests: number): string {
  return requests === 0 ? NOTHING : formatShare(errors / requests)
}

/** A rate over another, as guards say it. */
export interface RatioInterval {
  readonly estimate: number
  readonly low: number
  readonly high: number
}

/** What the API says where the reference had no event, and the rate no bound. */
const WITHOUT_BOUND = 1e6 - 1

export function formatRatio(estimate: number): string {
  return estimate >= WITHOUT_BOUND ? 'no bound' : `${formatNumber(estimate)} ×`
}

export function formatInterval({ low, high }: Omit<RatioInterval, 'estimate'>): string {
  if (high < WITHOUT_BOUND) return `${formatNumber(low)} to ${formatNumber(high)}`
  return low === 0 ? 'anything' : `${formatNumber(low)} or more`
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)}${NBSP}${units[unit]}`
}

const SPANS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const

/** `7 d`, `1 h 30 min`, `12 s`: the two largest units. */
export function formatDuration(ms: number): string {
  let left = Math.round(ms / 1000) * 1000
  const parts: string[] = []
  for (const [unit, size] of SPANS) {
    const n = Math.floor(left / size)
    left -= n * size
    if (n > 0) parts.push(`${n}${NBSP}${unit}`)
    else if (parts.length > 0) break
    if (parts.length === 2) break
  }
  return parts.length === 0 ? `0${NBSP}s` : parts.join(' ')
}

const two = (n: number, digits = 2): string => String(n).padStart(digits, '0')

/** Of the local zone, as everywhere but in hints: `14:03:07`. */
export function formatClock(timeMs: number, withMs = false): string {
  const time = new Date(timeMs)
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
  return withMs ? `${clock}.${two(time.getMilliseconds(), 3)}` : clock
}

/** `2026-11-22 14:03:07`; of today only the time. */
export function formatTime(timeMs: number, nowMs: number): string {
  const time = new Date(timeMs)
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`
  return new Date(nowMs).toDateString() === time.toDateString() ? formatClock(timeMs) : `${day} ${formatClock(timeMs)}`
}

/** `2026-11-22 13:03:07.120 UTC` */
export function formatUtc(timeMs: number): string {
  return new Date(timeMs).toISOString().replace('T', ' ').replace('Z', ' UTC')
}

/** Whole numbers to the last digit, as they may be ids or times; others to six digits. */
export function formatExact(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e21
    ? BigInt(value).toString()
    : String(Number(value.toPrecision(6)))
}

/** Any value in a line: text and whole numbers as they are, other numbers to six digits, the rest as JSON. */
export function formatValue(value: unknown, maxLength = 120): string {
  const text =
    typeof value === 'string'
      ? value
      : typeof value === 'number'
        ? formatExact(value)
        : value === null || value === undefined
          ? NOTHING
          : JSON.stringify(value)
  return text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text
}
