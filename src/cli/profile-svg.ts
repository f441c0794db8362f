// A profile as an SVG file: latency against rows a call with the cost model's line, and throughput against callers. Axes are logarithmic.
import type { Profile } from '../app/index.js'

const WIDTH = 460
const HEIGHT = 300
const LEFT = 60
const BOTTOM = 46
const TOP = 40

interface Point {
  readonly x: number
  readonly y: number
}

interface Curve {
  readonly name: string
  readonly color: string
  readonly points: readonly Point[]
  readonly isDashed?: boolean
}

export function profileSvg({ model, version, batches, callers, cost }: Profile): string {
  const latency: Curve[] = [
    { name: 'p50', color: '#2563eb', points: batches.map(({ rows, p50Ms }) => ({ x: rows, y: p50Ms })) },
    { name: 'p99', color: '#dc2626', points: batches.map(({ rows, p99Ms }) => ({ x: rows, y: p99Ms })) },
  ]
  if (cost !== null) {
    const points = cost.points.map(({ rows, expectedMs }) => ({ x: rows, y: expectedMs }))
    latency.push({ name: 'cost model (run only)', color: '#6b7280', points, isDashed: true })
  }
  const throughput: Curve[] = [
    {
      name: 'rows/s',
      color: '#059669',
      points: callers.map(({ concurrency, rowsPerSecond }) => ({ x: concurrency, y: rowsPerSecond })),
    },
  ]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${2 * WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    chart(0, `${plainText(model)}@${version}: latency, ms`, 'rows a call', latency),
    chart(WIDTH, 'throughput, rows/s', 'callers', throughput),
    '</svg>',
    '',
  ].join('\n')
}

function chart(left: number, title: string, axis: string, curves: readonly Curve[]): string {
  const all = curves.flatMap(({ points }) => points).filter(({ y }) => y > 0)
  if (all.length === 0) return ''
  const xs = all.map(({ x }) => Math.log2(x))
  const ys = all.map(({ y }) => Math.log10(y))
  const [x0, x1] = [Math.min(...xs), Math.max(...xs, Math.min(...xs) + 1)]
  const [y0, y1] = [Math.floor(Math.min(...ys)), Math.max(Math.ceil(Math.max(...ys)), Math.floor(Math.min(...ys)) + 1)]
  const px = (x: number) => LEFT + ((Math.log2(x) - x0) / (x1 - x0)) * (WIDTH - LEFT - 20)
  const py = (y: number) => HEIGHT - BOTTOM - ((Math.log10(y) - y0) / (y1 - y0)) * (HEIGHT - BOTTOM - TOP)
  const parts = [`<g transform="translate(${left} 0)">`, `<text x="${LEFT}" y="20" font-size="13">${title}</text>`]
  for (let power = y0; power <= y1; power++) {
    const y = py(10 ** power).toFixed(1)
    parts.push(`<line x1="${LEFT}" x2="${WIDTH - 20}" y1="${y}" y2="${y}" stroke="#e5e7eb"/>`)
    parts.push(
      `<text x="${LEFT - 6}" y="${y}" text-anchor="end" dominant-baseline="middle">${Number((10 ** power).toPrecision(3))}</text>`,
    )
  }
  for (const x of new Set(all.map((point) => point.x)))
    parts.push(`<text x="${px(x).toFixed(1)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${x}</text>`)
  parts.push(`<text x="${(WIDTH + LEFT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">${axis}</text>`)
  curves.forEach(({ name, color, points, isDashed }, i) => {
    const path = points
      .filter(({ y }) => y > 0)
      .map(({ x, y }) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`)
      .join(' ')
    const dash = isDashed ? ' stroke-dasharray="4 3"' : ''
    parts.push(`<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"${dash}/>`)
    parts.push(`<text x="${LEFT + 8 + i * 90}" y="${TOP - 6}" fill="${color}">${name}</text>`)
  })
  return [...parts, '</g>'].join('\n')
}

function plainText(text: string): string {
  return text.replace(/[&<>]/g, '')
}
