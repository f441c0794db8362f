// Every endpoint with what is happening on it now.
import { useMemo, useState } from 'react'
import { mayView, useCaller } from '../api/caller.js'
import { useLive } from '../api/chosen-node.js'
import type { EndpointLive, EndpointView, LiveOverview, Release } from '../api/types.js'
import { usePoll } from '../api/use-poll.js'
import { formatCount, formatErrors, formatMs, formatNumber, formatRate, formatShare, NOTHING } from '../format.js'
import { pathTo } from '../router.js'
import { Badge, Figure } from '../ui/bits.js'
import { type Column, DataTable } from '../ui/data-table.js'
import { Sparkline } from '../ui/sparkline.js'
import { Empty, Loaded } from '../ui/states.js'
import { WhoseTraffic } from './whose-traffic.js'

interface Row {
  readonly endpoint: EndpointView
  readonly live: EndpointLive
  /** How it does may be shown. */
  readonly isViewed: boolean
  readonly release: Release | undefined
}

interface Releases {
  readonly releases: readonly Release[]
}

const SHOWN = ['all', 'with traffic', 'with errors', 'not ready', 'in release'] as const

export function EndpointsPage() {
  const endpoints = usePoll<{ endpoints: readonly EndpointView[] }>('/api/v1/endpoints', 15_000)
  /** The answer grows with the endpoints: 230 kB for a thousand. */
  const isLarge = (endpoints.data?.endpoints.length ?? 0) > 200
  const live = useLive<LiveOverview>('/api/v1/live', isLarge ? 6000 : 2000)
  const caller = useCaller()
  const running = usePoll<Releases>('/api/v1/releases?state=running&limit=1000', 10_000)
  const paused = usePoll<Releases>('/api/v1/releases?state=paused&limit=1000', 10_000)
  const [search, setSearch] = useState('')
  const [shown, setShown] = useState<(typeof SHOWN)[number]>('all')

  const rows = useMemo(() => {
    const liveByName = new Map(live.data?.endpoints.map((one) => [one.name, one]))
    const active = new Map(
      [running.data, paused.data].flatMap((some) => some?.releases ?? []).map((release) => [release.endpoint, release]),
    )
    return endpoints.data?.endpoints.map(
      (endpoint): Row => ({
        endpoint,
        live: liveByName.get(endpoint.name) ?? idle(endpoint.name),
        isViewed: mayView(caller, endpoint.name),
        release: active.get(endpoint.name),
      }),
    )
  }, [endpoints.data, live.data, running.data, paused.data, caller])

  return (
    <>
      <h1>Endpoints</h1>
      <Loaded of={{ ...endpoints, error: endpoints.error ?? live.error }} what="endpoints">
        {() => {
          const all = rows ?? []
          const wanted = all.filter((row) => isShown(row, shown) && matches(row, search))
          return (
            <>
              <Totals rows={all} />
              <search className="filters">
                <label className="field">
                  <span>Search</span>
                  <input
                    type="search"
                    value={search}
                    placeholder="name, model or version"
                    onChange={(event) => setSearch(event.target.value)}
                  />
                </label>
                <label className="field">
                  <span>Show</span>
                  <select value={shown} onChange={(event) => setShown(event.target.value as typeof shown)}>
                    {SHOWN.map((name) => (
                      <option key={name}>{name}</option>
                    ))}
                  </select>
                </label>
                <span className="muted count" role="status">
                  {formatCount(wanted.length)} of {formatCount(all.length)}
                </span>
              </search>
              <DataTable
                label="Endpoints"
                rows={wanted}
                columns={COLUMNS}
                rowKey={({ endpoint }) => endpoint.name}
                to={({ endpoint }) => pathTo('endpoints', endpoint.name)}
                sortedBy={{ key: 'name', isDescending: false }}
                empty={
                  all.length === 0 ? (
                    <Empty title="No endpoints yet">
                      Every model has an endpoint of its own name: put one into the models folder, or{' '}
                      <code>headrace models push</code>.
                    </Empty>
                  ) : (
                    <Empty title="No endpoint is like that">Search for less, or show all.</Empty>
                  )
                }
              />
              <p className="foot muted">
                Figures are of the last minute, lines of the last quarter of an hour.
                {live.data?.isCatchingUp && ' The log is still being read.'}
                {live.data !== undefined &&
                  live.data.uncounted > 0 &&
                  ` ${formatCount(live.data.uncounted)} more endpoints have traffic that is not counted.`}
              </p>
              <WhoseTraffic nodes={live.data?.nodes} />
            </>
          )
        }}
      </Loaded>
    </>
  )
}

export function isActive(state: Release['state']): boolean {
  return state === 'running' || state === 'paused'
}

function Totals({ rows }: { readonly rows: readonly Row[] }) {
  const sum = (of: (live: EndpointLive) => number): number => rows.reduce((total, { live }) => total + of(live), 0)
  const requests = sum((live) => live.requests)
  const errors = sum((live) => live.errors)
  const unready = rows.filter(({ endpoint }) => !endpoint.ready).length
  return (
    <dl className="figures" aria-label="All endpoints">
      <Figure name="Requests" value={formatRate(sum((live) => live.rate))} />
      <Figure name="Errors" value={formatErrors(errors, requests)} tone={errors > 0 ? 'bad' : 'ok'} />
      <Figure name="From the cache" value={requests === 0 ? NOTHING : formatShare(sum(fromCache) / requests)} />
      <Figure
        name="Ready"
        value={`${formatCount(rows.length - unready)} of ${formatCount(rows.length)}`}
        tone={unready > 0 ? 'warn' : 'ok'}
      />
    </dl>
  )
}

function fromCache({ cache }: EndpointLive): number {
  return cache.hits + cache.coalesced
}

const COLUMNS: readonly Column<Row>[] = [
  {
    key: 'name',
    title: 'Endpoint',
    cell: ({ endpoint }) => <span title={endpoint.description ?? endpoint.name}>{endpoint.name}</span>,
    sort: ({ endpoint }) => endpoint.name,
  },
  {
    key: 'version',
    isExtra: true,
    title: 'Answers',
    hint: 'The version that describes the endpoint to its callers',
    width: '13%',
    cell: ({ endpoint: { model, version, name } }) =>
      model === null ? (
        <span className="muted">{NOTHING}</span>
      ) : (
        <span title={`${model} ${version}`}>{model === name ? `v${version}` : `${model} v${version}`}</span>
      ),
    sort: ({ endpoint: { model, version } }) => (model === null ? null : `${model} ${String(version).padStart(9)}`),
  },
  {
    key: 'state',
    title: 'State',
    width: '158px',
    cell: ({ endpoint, release }) => (
      <>
        {endpoint.ready ? (
          <Badge tone="ok">ready</Badge>
        ) : (
          <Badge tone="bad" title={endpoint.reason ?? undefined}>
            not ready
          </Badge>
        )}
        {release && (
          <Badge tone="accent" title={`Release of version ${release.to}`}>
            {release.state}
          </Badge>
        )}
        {endpoint.cache && !endpoint.cache.enabled && <Badge tone="warn">cache off</Badge>}
      </>
    ),
    sort: ({ endpoint, release }) => `${endpoint.ready ? 1 : 0}${release ? 0 : 1}`,
  },
  {
    key: 'history',
    isExtra: true,
    title: '15 min',
    width: '112px',
    cell: ({ live, isViewed }) => isViewed && <Sparkline values={live.history} />,
  },
  {
    key: 'rate',
    width: '78px',
    title: 'Rate',
    isNumber: true,
    cell: (row) => quiet(row, formatRate(row.live.rate)),
    sort: ({ live, isViewed }) => (isViewed ? live.rate : null),
  },
  {
    key: 'errors',
    width: '82px',
    title: 'Errors',
    isNumber: true,
    cell: ({ live }) => (
      <span className={live.errors > 0 ? 'bad' : 'muted'}>{formatErrors(live.errors, live.requests)}</span>
    ),
    sort: ({ live }) => (live.requests === 0 ? null : live.errors / live.requests),
  },
  ...(['p50Ms', 'p95Ms', 'p99Ms'] as const).map(
    (key): Column<Row> => ({
      key,
      title: key.slice(0, 3),
      isExtra: key !== 'p99Ms',
      width: '84px',
      hint: 'Time from the arrival of a request to its reply',
      isNumber: true,
      cell: (row) => quiet(row, formatMs(row.live[key])),
      sort: ({ live }) => live[key],
    }),
  ),
  {
    key: 'batch',
    isExtra: true,
    width: '68px',
    title: 'Batch',
    hint: 'Mean rows that ran together',
    isNumber: true,
    cell: (row) => quiet(row, row.live.batchRows === null ? NOTHING : formatNumber(row.live.batchRows)),
    sort: ({ live }) => live.batchRows,
  },
  {
    key: 'cache',
    isExtra: true,
    width: '82px',
    title: 'Cache',
    hint: 'Share of requests answered without a run of their own',
    isNumber: true,
    cell: (row) =>
      quiet(
        row,
        row.endpoint.cache === null || row.live.requests === 0
          ? NOTHING
          : formatShare(Math.min(1, fromCache(row.live) / row.live.requests)),
      ),
    sort: ({ live }) => (live.requests === 0 ? null : fromCache(live) / live.requests),
  },
]

function quiet({ live, isViewed }: Row, text: string) {
  if (!isViewed)
    return (
      <span className="muted" title="Not shown to this key">
        {NOTHING}
      </span>
    )
  return live.requests === 0 ? <span className="muted">{text}</span> : text
}

function idle(name: string): EndpointLive {
  return {
    name,
    requests: 0,
    rows: 0,
    rate: 0,
    errors: 0,
    p50Ms: null,
    p95Ms: null,
    p99Ms: null,
    batchRows: null,
    cache: { hits: 0, coalesced: 0, stale: 0 },
    history: NO_HISTORY,
  }
}

const NO_HISTORY: readonly (number | null)[] = new Array<number>(30).fill(0)

function isShown({ endpoint, live, release }: Row, shown: (typeof SHOWN)[number]): boolean {
  switch (shown) {
    case 'all':
      return true
    case 'with traffic':
      return live.requests > 0
    case 'with errors':
      return live.errors > 0
    case 'not ready':
      return !endpoint.ready
    case 'in release':
      return release !== undefined
  }
}

function matches({ endpoint: { name, model, version } }: Row, search: string): boolean {
  const text = `${name} ${model ?? ''} v${version ?? ''}`.toLowerCase()
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}
