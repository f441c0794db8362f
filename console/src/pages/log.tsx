// The log's tail: what happens, as it is written.
import { useMemo, useState } from 'react'
import { useCaller, viewedBy } from '../api/caller.js'
import type { LogRecord } from '../api/types.js'
import { useTail } from '../api/use-tail.js'
import { formatClock, formatCount, formatMs, formatUtc, formatValue, NOTHING } from '../format.js'
import { pathTo } from '../router.js'
import { Badge } from '../ui/bits.js'
import { type Column, DataTable } from '../ui/data-table.js'
import { Empty, Failed, Loading, Stale } from '../ui/states.js'

const KINDS = ['all kinds', 'prediction', 'call', 'outcome', 'decision'] as const

export function LogPage() {
  const [isPaused, setPaused] = useState(false)
  const [kind, setKind] = useState<(typeof KINDS)[number]>('all kinds')
  const [endpoint, setEndpoint] = useState('')
  const [onlyErrors, setOnlyErrors] = useState(false)
  const [search, setSearch] = useState('')
  const { records, isConnected, error, retry } = useTail(isPaused)
  const names = useMemo(
    () => [...new Set(records.flatMap((record) => ('endpoint' in record ? [record.endpoint] : [])))].sort(),
    [records],
  )
  const wanted = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/)
    return records.filter(
      (record) =>
        (kind === 'all kinds' || record.kind === kind) &&
        (endpoint === '' || ('endpoint' in record && record.endpoint === endpoint)) &&
        (!onlyErrors || errorOf(record) !== null) &&
        (search === '' || words.every((word) => textOf(record).includes(word))),
    )
  }, [records, kind, endpoint, onlyErrors, search])
  const isFirst = records.length === 0
  const caller = useCaller()
  const isViewer = caller === undefined || viewedBy(caller).length > 0

  return (
    <>
      <h1>Log</h1>
      {error && (isFirst ? <Failed error={error} retry={retry} /> : <Stale error={error} retry={retry} />)}
      {!error && isFirst && !isConnected && <Loading what="the log" />}
      {(isConnected || !isFirst) && (
        <>
          <search className="filters">
            <label className="field">
              <span>Search</span>
              <input
                type="search"
                value={search}
                placeholder="id, unit, version, code"
                onChange={(event) => setSearch(event.target.value)}
              />
            </label>
            <label className="field">
              <span>Kind</span>
              <select value={kind} onChange={(event) => setKind(event.target.value as typeof kind)}>
                {KINDS.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </label>
            <label className="field">
              <span>Endpoint</span>
              <select value={endpoint} onChange={(event) => setEndpoint(event.target.value)}>
                <option value="">all endpoints</option>
                {names.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </label>
            <label className="check">
              <input type="checkbox" checked={onlyErrors} onChange={(event) => setOnlyErrors(event.target.checked)} />
              errors only
            </label>
            <button type="button" className="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
              {isPaused ? 'Go on' : 'Pause'}
            </button>
            <span className="muted count" role="status">
              {isPaused ? 'paused' : isConnected ? 'following' : 'connecting'}, {formatCount(wanted.length)} of{' '}
              {formatCount(records.length)}
            </span>
          </search>
          <DataTable
            label="Records of the log, newest first"
            rows={wanted}
            columns={COLUMNS}
            rowKey={({ seq }) => String(seq)}
            to={target}
            rowTone={(record) => (errorOf(record) === null ? undefined : 'row-bad')}
            empty={
              isFirst ? (
                <Empty title={isViewer ? 'Nothing was written yet' : 'Not shown to this key'}>
                  {isViewer
                    ? 'Predictions appear here a moment after they were answered.'
                    : 'Records are for keys with a role, such as viewer.'}
                </Empty>
              ) : (
                <Empty title="No record is like that">Search for less, or show all kinds.</Empty>
              )
            }
          />
          <p className="foot muted">
            The newest 2,000 records. Older ones: <code>headrace log query</code>.
          </p>
        </>
      )}
    </>
  )
}

const COLUMNS: readonly Column<LogRecord>[] = [
  {
    key: 'time',
    title: 'Time',
    width: '132px',
    cell: ({ timeMs }) => (
      <time dateTime={new Date(timeMs).toISOString()} title={formatUtc(timeMs)}>
        {formatClock(timeMs, true)}
      </time>
    ),
  },
  {
    key: 'kind',
    isExtra: true,
    title: 'Kind',
    width: '92px',
    cell: ({ kind }) => <span className="muted">{kind}</span>,
  },
  {
    key: 'about',
    title: 'About',
    width: '17%',
    cell: (record) => (record.kind === 'decision' ? record.subject : record.endpoint),
  },
  { key: 'what', title: 'What', cell: (record) => <span title={whatOf(record)}>{whatOf(record)}</span> },
  {
    key: 'unit',
    isExtra: true,
    title: 'Unit',
    width: '13%',
    cell: (record) => (record.kind === 'prediction' ? (record.unit ?? <span className="muted">{NOTHING}</span>) : ''),
  },
  {
    key: 'took',
    isExtra: true,
    title: 'Took',
    width: '84px',
    isNumber: true,
    cell: (record) => formatMs(tookMs(record)),
  },
  {
    key: 'result',
    title: 'Result',
    width: '21%',
    cell: (record) => {
      const error = errorOf(record)
      return (
        <>
          {error !== null && <code className="code bad">{error}</code>}
          {error === null && (record.kind === 'prediction' || record.kind === 'call') && <Badge tone="ok">ok</Badge>}
          {record.kind === 'prediction' &&
            record.flags.map((flag) => (
              <Badge key={flag} tone="warn">
                {flag}
              </Badge>
            ))}
        </>
      )
    },
  },
]

function target(record: LogRecord): string | undefined {
  switch (record.kind) {
    case 'prediction':
      return pathTo('predictions', record.id)
    case 'call':
    case 'outcome':
      return pathTo('predictions', record.prediction.split('#')[0]!)
    case 'decision':
      return pathTo('decisions', record.id)
  }
}

function errorOf(record: LogRecord): string | null {
  if (record.kind === 'prediction') return record.error
  if (record.kind === 'call') return record.call.status === 'ok' ? null : record.call.status
  return null
}

function tookMs(record: LogRecord): number | null {
  if (record.kind === 'prediction') {
    const { admit, features, route, shape } = record.stages
    return admit + features + route + shape
  }
  return record.kind === 'call' ? record.call.latencyMs : null
}

function whatOf(record: LogRecord): string {
  switch (record.kind) {
    case 'prediction': {
      const rows = record.rows === 1 ? '' : `${formatCount(record.rows)} rows, `
      const arms = record.route.map(({ node, arm }) => `${node}: ${arm}`).join(', ')
      return `${rows}${record.calls.map(({ leaf }) => leaf).join(', ') || 'no call'}${arms === '' ? '' : ` (${arms})`}`
    }
    case 'call':
      return `${record.call.role} ${record.call.leaf}`
    case 'outcome':
      return `${record.name} = ${formatValue(record.value)}`
    case 'decision':
      return `${record.change} by ${record.by}`
  }
}

const texts = new WeakMap<LogRecord, string>()

/** What is searched: small letters of all that the row shows, and its id. */
function textOf(record: LogRecord): string {
  let text = texts.get(record)
  if (text === undefined) {
    const about = record.kind === 'decision' ? record.subject : record.endpoint
    const unit = record.kind === 'prediction' ? (record.unit ?? '') : ''
    text = `${record.kind} ${about} ${unit} ${whatOf(record)} ${errorOf(record) ?? ''} ${record.id}`.toLowerCase()
    texts.set(record, text)
  }
  return text
}
