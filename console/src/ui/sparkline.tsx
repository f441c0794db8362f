// A line of a few values, as wide as a cell; its shape is said in words by the cell beside it.
import { memo } from 'react'

const WIDTH = 96
const HEIGHT = 22

export const Sparkline = memo(function Sparkline({ values }: { readonly values: readonly (number | null)[] }) {
  const max = Math.max(1, ...values.map((value) => value ?? 0))
  const step = WIDTH / Math.max(1, values.length - 1)
  const points = values.flatMap((value, i) =>
    value === null ? [] : `${(i * step).toFixed(1)},${(HEIGHT - 1.5 - (value / max) * (HEIGHT - 3)).toFixed(1)}`,
  )
  // What was not counted is left out: it is at the beginning.
  const start = ((values.length - points.length) * step).toFixed(1)
  return (
    <svg className="spark" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <polygon className="spark-area" points={`${start},${HEIGHT} ${points.join(' ')} ${WIDTH},${HEIGHT}`} />
      <polyline className="spark-line" points={points.join(' ')} />
    </svg>
  )
}, sameValues)

type Values = { readonly values: readonly (number | null)[] }

function sameValues(a: Values, b: Values): boolean {
  return a.values.length === b.values.length && a.values.every((value, i) => value === b.values[i])
}
