// A plot over time by uPlot, in the palette's colours, with bands for intervals.
import { useEffect, useRef } from 'react'
import UPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { formatClock, NOTHING } from '../format.js'
import { colour, useTheme } from '../theme.js'

export interface Line {
  readonly name: string
  /** Of the palette: `chart-1`. */
  readonly colour: string
  readonly values: readonly (number | null)[]
  readonly isDashed?: boolean
  /** Fills the room down to the line of this index. */
  readonly bandTo?: number
  readonly isFilled?: boolean
  /** Not drawn: the edge of a band. */
  readonly isEdge?: boolean
  /** Not in the legend: it says nothing new. */
  readonly isQuiet?: boolean
}

interface ChartProps {
  /** One sentence for those who do not see it. */
  readonly label: string
  /** Milliseconds since the Unix epoch, one for each value. */
  readonly timesMs: readonly number[]
  readonly lines: readonly Line[]
  readonly format: (value: number) => string
  readonly height?: number
  readonly isLogarithmic?: boolean
  /** The axis shows at least from here to there. */
  readonly range?: readonly [number, number]
}

export function Chart({ label, timesMs, lines, format, height = 150, isLogarithmic = false, range }: ChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot>(undefined)
  const theme = useTheme()
  const data = useRef<UPlot.AlignedData>([[], []])
  data.current = [timesMs.map((ms) => ms / 1000), ...lines.map(({ values }) => [...values])] as UPlot.AlignedData
  /** The plot is made again only when more than its numbers is new. */
  const shape = JSON.stringify([theme, height, range, lines.map(({ values: _, ...rest }) => rest)])

  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` stands for everything but the numbers
  useEffect(() => {
    const { current } = box
    if (current === null) return
    const axis = { stroke: colour('muted'), grid: { stroke: colour('grid'), width: 1 }, ticks: { show: false } }
    const options: UPlot.Options = {
      width: Math.max(120, current.clientWidth),
      height,
      cursor: { y: false, points: { size: 5 }, drag: { x: false, y: false } },
      legend: { live: true },
      // While nobody points at a time, the legend says how things stand.
      hooks: { setCursor: [showNewest] },
      scales: {
        x: { time: true },
        y: {
          distr: isLogarithmic ? 3 : 1,
          range: (_, min, max) => axisRange(min, max, range, isLogarithmic),
        },
      },
      axes: [
        { ...axis, size: 26, values: timeTicks, space: 70, incrs: TICKS_S },
        {
          ...axis,
          size: 62,
          values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : format(tick))),
          space: 34,
          ...(isLogarithmic && { splits: powersOfTen }),
        },
      ],
      series: [
        { label: ' ', class: 'legend-time', value: (_, s) => (s === null ? NOTHING : formatClock(s * 1000)) },
        ...lines.map(
          (line): UPlot.Series => ({
            label: line.name,
            ...(line.isEdge && { class: 'legend-edge' }),
            ...(line.isQuiet && { class: 'legend-quiet' }),
            stroke: line.isEdge ? 'transparent' : colour(line.colour),
            width: line.isEdge ? 0 : 1.5,
            // A line needs two values; what is alone is a point.
            points: { show: (plot, series) => isAlone(plot.data[series]!), size: 5 },
            ...(line.isDashed && { dash: [5, 4] }),
            ...(line.isFilled && { fill: `${colour(line.colour)}2e` }),
            value: (_, value) => (value === null ? NOTHING : format(value)),
          }),
        ),
      ],
      bands: lines.flatMap(({ bandTo, colour: name }, i) =>
        bandTo === undefined ? [] : [{ series: [i + 1, bandTo + 1] as [number, number], fill: `${colour(name)}33` }],
      ),
    }
    const made = new UPlot(options, data.current, current)
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(120, current.clientWidth), height }))
    observer.observe(current)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = undefined
    }
  }, [shape])

  useEffect(() => {
    plot.current?.setData(data.current)
    if (plot.current) showNewest(plot.current)
  })

  return (
    <figure className="chart">
      <figcaption className="visually-hidden">{label}</figcaption>
      <div ref={box} aria-hidden="true" className="chart-box" style={{ minHeight: height }} />
    </figure>
  )
}

/** Never less than a second apart. */
const TICKS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800,
]

function isAlone(values: ArrayLike<number | null | undefined>): boolean {
  let count = 0
  for (let i = 0; i < values.length; i++) if (values[i] != null) count++
  return count === 1
}

/** Within a few minutes seconds are needed to tell ticks apart. */
function timeTicks(_: UPlot, ticks: readonly number[]): string[] {
  const isShort = ticks.length > 1 && ticks[1]! - ticks[0]! < 60
  return ticks.map((s) => formatClock(s * 1000).slice(0, isShort ? 8 : 5))
}

function powersOfTen(_: UPlot, __: number, min: number, max: number): number[] {
  const first = Math.ceil(Math.log10(min) - 1e-9)
  const last = Math.floor(Math.log10(max) + 1e-9)
  const step = Math.max(1, Math.ceil((last - first) / 5))
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_value, i) => 10 ** (first + i * step))
}

function showNewest(plot: UPlot): void {
  if (plot.cursor.idx == null) plot.setLegend({ idx: plot.data[0].length - 1 }, false)
}

function axisRange(
  min: number | null,
  max: number | null,
  range: readonly [number, number] | undefined,
  isLogarithmic: boolean,
): [number, number] {
  const low = Math.min(min ?? Number.POSITIVE_INFINITY, range?.[0] ?? Number.POSITIVE_INFINITY)
  const high = Math.max(max ?? Number.NEGATIVE_INFINITY, range?.[1] ?? Number.NEGATIVE_INFINITY)
  if (isLogarithmic) {
    const from = Number.isFinite(low) && low > 0 ? low : 0.1
    return [10 ** Math.floor(Math.log10(from)), 10 ** Math.ceil(Math.log10(Math.max(high, from * 10)) + 0.05)]
  }
  const bottom = Number.isFinite(low) ? Math.min(0, low) : 0
  return [bottom, Number.isFinite(high) && high > bottom ? high * 1.12 : bottom + 1]
}
