// A line of a few values, as wide as a cell; its shape is said in words by the cell beside it.
import { memo } from 'react'

const WIDTH = 96
const HEIGHT = 22

export const Sparkline = memo(function Sparkline({ values }: { readonly values: readonly number[] }) {
  const max = Math.max(1, ...values)
  const step = WIDTH / Math.max(1, values.length - 1)
  const points = values.map(
    (value, i) => `${(i * step).toFixed(1)},${(HEIGHT - 1.5 - (value / max) * (HEIGHT - 3)).toFixed(1)}`,
  )
  return (
    <svg className="spark" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <polygon className="spark-area" points={`0,${HEIGHT} ${points.join(' ')} ${WIDTH},${HEIGHT}`} />
      <polyline className="spark-line" points={points.join(' ')} />
    </svg>
  )
}, sameValues)

function sameValues(a: { readonly values: readonly number[] }, b: { readonly values: readonly number[] }): boolean {
  return a.values.length === b.values.length && a.values.every((value, i) => value === b.values[i])
}
