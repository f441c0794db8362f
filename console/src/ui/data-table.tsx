// A table of any length: only the rows in sight are in the page. One stop of the Tab key; arrows, Home, End and Page keys move inside.
import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { Link } from '../router.js'

export interface Column<Row> {
  readonly key: string
  readonly title: string
  /** Explains the title. */
  readonly hint?: string
  /** Of the whole, as CSS understands it; columns share what is left. */
  readonly width?: string
  readonly isNumber?: boolean
  /** Left out on a narrow screen. */
  readonly isExtra?: boolean
  readonly cell: (row: Row) => ReactNode
  /** What rows are sorted by; without it they cannot be sorted by this column. */
  readonly sort?: (row: Row) => number | string | null
}

interface DataTableProps<Row> {
  readonly label: string
  readonly rows: readonly Row[]
  readonly columns: readonly Column<Row>[]
  readonly rowKey: (row: Row) => string
  /** Where a row leads, after `/console`; its first cell becomes the link. */
  readonly to?: (row: Row) => string | undefined
  readonly sortedBy?: { readonly key: string; readonly isDescending: boolean }
  readonly rowTone?: (row: Row) => string | undefined
  /** In place of rows where there are none. */
  readonly empty: ReactNode
}

const ROW_PX = 36
const EXTRA_ROWS = 8

export function DataTable<Row>({ label, rows, columns, rowKey, to, sortedBy, rowTone, empty }: DataTableProps<Row>) {
  const [sorting, setSorting] = useState(sortedBy)
  const box = useRef<HTMLDivElement>(null)
  const [seen, setSeen] = useState({ top: 0, height: 720 })
  const [active, setActive] = useState(0)
  const wantsFocus = useRef(false)

  const sorted = useMemo(() => {
    const by = columns.find(({ key }) => key === sorting?.key)?.sort
    return by === undefined ? rows : [...rows].sort(comparing(by, sorting?.isDescending ?? false))
  }, [rows, columns, sorting])

  useLayoutEffect(() => {
    const { current } = box
    if (current === null) return
    const measure = (): void => setSeen({ top: current.scrollTop, height: current.clientHeight })
    const observer = new ResizeObserver(measure)
    observer.observe(current)
    current.addEventListener('scroll', measure, { passive: true })
    return () => {
      observer.disconnect()
      current.removeEventListener('scroll', measure)
    }
  }, [])

  const first = Math.max(0, Math.floor(seen.top / ROW_PX) - EXTRA_ROWS)
  const last = Math.min(sorted.length, Math.ceil((seen.top + seen.height) / ROW_PX) + EXTRA_ROWS)
  const at = Math.min(active, Math.max(0, sorted.length - 1))

  // The row may have come into the page only now.
  useEffect(() => {
    if (!wantsFocus.current) return
    const link = box.current?.querySelector<HTMLElement>(`[data-row="${at}"]`)
    if (!link) return
    wantsFocus.current = false
    link.focus({ preventScroll: true })
  })

  function move(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(seen.height / ROW_PX) - 2)
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: sorted.length - 1,
    }
    const wanted = steps[event.key]
    if (wanted === undefined || to === undefined || event.altKey || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    const row = Math.min(Math.max(wanted, 0), sorted.length - 1)
    setActive(row)
    wantsFocus.current = true
    const { current } = box
    if (current === null) return
    const head = current.querySelector('thead')?.clientHeight ?? ROW_PX
    const top = row * ROW_PX
    if (top < current.scrollTop) current.scrollTop = top
    else if (top + ROW_PX + head > current.scrollTop + current.clientHeight)
      current.scrollTop = top + ROW_PX + head - current.clientHeight
  }

  function sortBy({ key, isNumber }: Column<Row>): void {
    setSorting((now) =>
      now?.key === key ? { key, isDescending: !now.isDescending } : { key, isDescending: isNumber ?? false },
    )
  }

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys move the focus among the links inside
    <div
      className="table-box"
      ref={box}
      onKeyDown={move}
      // Without links inside, the keys scroll it.
      {...(to === undefined && { tabIndex: 0, role: 'region', 'aria-label': label })}
    >
      <table aria-label={label} aria-rowcount={sorted.length + 1}>
        <colgroup>
          {columns.map(({ key, width, isExtra }) => (
            <col
              key={key}
              className={`col-${key}${isExtra ? ' extra' : ''}`}
              {...(width !== undefined && { style: { ['--width' as string]: width } })}
            />
          ))}
        </colgroup>
        <thead>
          <tr>
            {columns.map((column) => {
              const isSorted = sorting?.key === column.key
              return (
                <th
                  key={column.key}
                  scope="col"
                  className={classOf(column)}
                  aria-sort={isSorted ? (sorting.isDescending ? 'descending' : 'ascending') : undefined}
                  title={column.hint}
                >
                  {column.sort ? (
                    <button type="button" onClick={() => sortBy(column)}>
                      {column.title}
                      <span aria-hidden="true" className="sort-mark">
                        {isSorted ? (sorting.isDescending ? '↓' : '↑') : ''}
                      </span>
                    </button>
                  ) : (
                    column.title
                  )}
                </th>
              )
            })}
          </tr>
        </thead>
        <tbody>
          {first > 0 && <tr style={{ height: first * ROW_PX }} />}
          {sorted.slice(first, last).map((row, i) => {
            const index = first + i
            const target = to?.(row)
            return (
              <tr key={rowKey(row)} aria-rowindex={index + 2} className={rowTone?.(row)}>
                {columns.map((column, c) => (
                  <td key={column.key} className={classOf(column)}>
                    {c === 0 && target !== undefined ? (
                      <Link
                        to={target}
                        data-row={index}
                        tabIndex={index === at ? 0 : -1}
                        onFocus={() => setActive(index)}
                      >
                        {column.cell(row)}
                      </Link>
                    ) : (
                      column.cell(row)
                    )}
                  </td>
                ))}
              </tr>
            )
          })}
          {last < sorted.length && <tr style={{ height: (sorted.length - last) * ROW_PX }} />}
        </tbody>
      </table>
      {sorted.length === 0 && empty}
    </div>
  )
}

function classOf<Row>({ isNumber, isExtra }: Column<Row>): string | undefined {
  return [isNumber && 'number', isExtra && 'extra'].filter(Boolean).join(' ') || undefined
}

/** `e2` before `e10`. */
const BY_NAME = new Intl.Collator('en', { numeric: true })

/** What has no value comes last, either way. */
function comparing<Row>(by: (row: Row) => number | string | null, isDescending: boolean): (a: Row, b: Row) => number {
  const sign = isDescending ? -1 : 1
  return (a, b) => {
    const x = by(a)
    const y = by(b)
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1
    if (typeof x === 'string' && typeof y === 'string') return sign * BY_NAME.compare(x, y)
    return x === y ? 0 : x < y ? -sign : sign
  }
}
