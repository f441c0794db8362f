// One endpoint: its route with what takes it, its versions, its last quarter of an hour and its release.
import { mayView, useCaller } from '../api/caller.js'
import { useLive } from '../api/chosen-node.js'
import type {
  EndpointView,
  LiveEndpoint,
  LiveVersion,
  ModelView,
  Release,
  RouteView,
  VersionView,
} from '../api/types.js'
import { type Polled, usePoll } from '../api/use-poll.js'
import {
  formatBytes,
  formatCount,
  formatErrors,
  formatMs,
  formatNumber,
  formatRate,
  formatShare,
  NOTHING,
} from '../format.js'
import { Link, pathTo } from '../router.js'
import { RouteTree, stateTone } from '../tree/route-tree.js'
import { Badge, Figure, Panel, Time } from '../ui/bits.js'
import { Chart, type Line } from '../ui/chart.js'
import { Empty, Loaded, Loading } from '../ui/states.js'
import { isActive } from './endpoints.js'
import { ReleaseBadge } from './releases.js'
import { WhoseTraffic } from './whose-traffic.js'

export function EndpointPage({ name }: { readonly name: string }) {
  const inPath = encodeURIComponent(name)
  const endpoint = usePoll<EndpointView>(`/api/v1/endpoints/${inPath}`, 10_000)
  const isViewed = mayView(useCaller(), name)
  const live = useLive<LiveEndpoint>(isViewed ? `/api/v1/live/${inPath}` : undefined, 2000)
  const route = usePoll<RouteView>(isViewed ? `/api/v1/endpoints/${inPath}/route` : undefined, 3000)
  return (
    <>
      <nav aria-label="Where you are" className="crumbs">
        <Link to="/endpoints">Endpoints</Link>
      </nav>
      <h1>{name}</h1>
      <Loaded of={{ ...endpoint, error: endpoint.error ?? live.error }} what="the endpoint">
        {(view) => (
          <>
            <p className="lead">
              {view.ready ? <Badge tone="ok">ready</Badge> : <Badge tone="bad">not ready</Badge>}{' '}
              <span className="muted">
                {view.origin}, deadline {formatMs(view.deadlineMs)}
                {view.cache && `, cache by ${view.cache.key} ${view.cache.enabled ? 'on' : 'off'}`}
              </span>
              {view.description && <span className="description">{view.description}</span>}
            </p>
            {view.reason && <p className="bad">{view.reason}</p>}
            {isViewed ? (
              <Viewed name={name} live={live.data} route={route} />
            ) : (
              <Empty title="Its traffic, route and releases are not shown to this key">
                It may predict with {name}; a key with the role viewer on it sees how it does.
              </Empty>
            )}
          </>
        )}
      </Loaded>
    </>
  )
}

interface ViewedProps {
  readonly name: string
  readonly live: LiveEndpoint | undefined
  readonly route: Polled<RouteView>
}

function Viewed({ name, live, route }: ViewedProps) {
  return (
    <>
      <LiveFigures live={live} />
      <WhoseTraffic nodes={live?.nodes} />
      <div className="columns">
        <Panel title="Route" className="wide" aside={<span className="muted">shares of the last minute</span>}>
          <Loaded of={route} what="the route">
            {(tree) => <RouteTree route={tree} arms={live?.arms ?? []} versions={live?.versions ?? []} />}
          </Loaded>
        </Panel>
        <ActiveReleases endpoint={name} />
        {live ? <Charts live={live} /> : <Loading what="figures" />}
        <Versions route={route.data} live={live?.versions ?? []} />
        <Trouble live={live} />
      </div>
    </>
  )
}

function LiveFigures({ live }: { readonly live: LiveEndpoint | undefined }) {
  const requests = live?.requests ?? 0
  return (
    <dl className="figures" aria-label="The last minute">
      <Figure
        name="Requests"
        value={live ? formatRate(live.rate) : NOTHING}
        note={`${formatCount(live?.rows ?? 0)} rows`}
      />
      <Figure
        name="Errors"
        value={formatErrors(live?.errors ?? 0, requests)}
        tone={live && live.errors > 0 ? 'bad' : 'ok'}
        note={`${formatCount(live?.errors ?? 0)} requests`}
      />
      <Figure name="p50" value={formatMs(live?.p50Ms)} />
      <Figure name="p95" value={formatMs(live?.p95Ms)} />
      <Figure name="p99" value={formatMs(live?.p99Ms)} />
      <Figure name="Rows a batch" value={live?.batchRows == null ? NOTHING : formatNumber(live.batchRows)} />
      <Figure
        name="From the cache"
        value={!live || requests === 0 ? NOTHING : formatShare((live.cache.hits + live.cache.coalesced) / requests)}
        note={`${formatCount(live?.cache.stale ?? 0)} stale`}
      />
    </dl>
  )
}

function Charts({ live: { series } }: { readonly live: LiveEndpoint }) {
  const { startMs, bucketMs } = series
  const timesMs = series.requests.map((_, i) => startMs + i * bucketMs)
  const rate = (counts: readonly (number | null)[]): (number | null)[] =>
    counts.map((count) => (count === null ? null : (count * 1000) / bucketMs))
  const latency: Line[] = [
    { name: 'p50', colour: 'chart-1', values: series.p50Ms },
    { name: 'p95', colour: 'chart-2', values: series.p95Ms },
    { name: 'p99', colour: 'chart-3', values: series.p99Ms },
  ]
  return (
    <div className="charts wide">
      <Panel title="Requests a second">
        <Chart
          label="Requests, answers from the cache and errors a second over the last quarter of an hour"
          timesMs={timesMs}
          format={formatNumber}
          lines={[
            { name: 'requests', colour: 'chart-1', values: rate(series.requests), isFilled: true },
            { name: 'cached', colour: 'chart-2', values: rate(series.cached) },
            { name: 'errors', colour: 'bad', values: rate(series.errors) },
          ]}
        />
      </Panel>
      <Panel title="Latency">
        <Chart
          label="Quantiles of latency over the last quarter of an hour"
          timesMs={timesMs}
          format={formatMs}
          lines={latency}
        />
      </Panel>
      <Panel title="Rows a batch">
        <Chart
          label="Mean rows of batches over the last quarter of an hour"
          timesMs={timesMs}
          format={formatNumber}
          lines={[{ name: 'rows', colour: 'chart-1', values: series.batchRows }]}
        />
      </Panel>
    </div>
  )
}

function ActiveReleases({ endpoint }: { readonly endpoint: string }) {
  const releases = usePoll<{ releases: readonly Release[] }>(
    `/api/v1/releases?endpoint=${encodeURIComponent(endpoint)}`,
    5000,
  )
  return (
    <Panel title="Release" className="wide" aside={<Link to="/releases">All releases</Link>}>
      <Loaded of={releases} what="releases">
        {({ releases: all }) => {
          const shown = all.filter(({ state }) => isActive(state))
          const listed = shown.length > 0 ? shown : all.slice(0, 3)
          if (listed.length === 0)
            return (
              <p className="muted">
                No release yet. <code>headrace release start {endpoint} --to …</code> moves it to another version step
                by step.
              </p>
            )
          return (
            <ul className="list">
              {listed.map((release) => (
                <li key={release.id}>
                  <Link to={pathTo('releases', release.id)}>
                    {release.model} {release.from} → {release.to}
                  </Link>{' '}
                  <ReleaseBadge state={release.state} />{' '}
                  <span className="muted">
                    step {release.step + 1} of {release.plan.steps.length}, started <Time ms={release.startedMs} />
                    {release.endedMs !== null && (
                      <>
                        , over <Time ms={release.endedMs} />
                      </>
                    )}
                  </span>
                </li>
              ))}
            </ul>
          )
        }}
      </Loaded>
    </Panel>
  )
}

function modelsOf(route: RouteView): string[] {
  const own = route.version ? [route.version.model] : []
  return [...new Set([...own, ...route.arms.flatMap((arm) => modelsOf(arm.route))])]
}

/** Model by model: a list of all of them would be megabytes on a server with thousands. */
function Versions({ route, live }: { readonly route: RouteView | undefined; readonly live: readonly LiveVersion[] }) {
  const names = route ? modelsOf(route) : []
  if (names.length === 0) return null
  return (
    <Panel title="Versions and aliases" className="wide">
      <div className="table-plain">
        <table aria-label="Versions">
          <thead>
            <tr>
              {VERSION_COLUMNS.map(({ title, isNumber }) => (
                <th key={title} scope="col" className={isNumber ? 'number' : undefined}>
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          {names.map((name) => (
            <VersionsOf key={name} model={name} live={live} />
          ))}
        </table>
      </div>
    </Panel>
  )
}

const VERSION_COLUMNS: readonly { readonly title: string; readonly isNumber?: true }[] = [
  { title: 'Version' },
  { title: 'State' },
  { title: 'Aliases' },
  { title: 'Runs in' },
  { title: 'Memory', isNumber: true },
  { title: 'Calls', isNumber: true },
  { title: 'Errors', isNumber: true },
  { title: 'p50', isNumber: true },
  { title: 'p99', isNumber: true },
]

function VersionsOf({ model, live }: { readonly model: string; readonly live: readonly LiveVersion[] }) {
  const { data, error } = usePoll<ModelView>(`/api/v1/models/${encodeURIComponent(model)}`, 15_000)
  const ofModel = live.filter((one) => one.model === model)
  if (data === undefined)
    return (
      <tbody>
        <tr>
          <td>{model}</td>
          <td colSpan={VERSION_COLUMNS.length - 1} className={error ? 'bad' : 'muted'}>
            {error ? error.message : 'Loading…'}
          </td>
        </tr>
      </tbody>
    )
  return (
    <tbody>
      {data.versions.map((version) => (
        <VersionRow
          key={version.version}
          model={data}
          version={version}
          calls={ofModel.filter((one) => one.version === version.version)}
        />
      ))}
    </tbody>
  )
}

interface VersionRowProps {
  readonly model: ModelView
  readonly version: VersionView
  readonly calls: readonly LiveVersion[]
}

function VersionRow({ model, version, calls }: VersionRowProps) {
  const shown = calls.find(({ isShadow }) => !isShadow) ?? calls[0]
  return (
    <tr>
      <td>
        {model.name} v{version.version}
      </td>
      <td>
        <Badge tone={stateTone(version.state) as 'ok'} title={version.reason ?? undefined}>
          {version.state}
        </Badge>
      </td>
      <td>
        {Object.entries(model.aliases)
          .filter(([, number]) => number === version.version)
          .map(([alias]) => (
            <Badge key={alias} tone="accent">
              {alias}
            </Badge>
          ))}
      </td>
      <td>{version.isolation ?? NOTHING}</td>
      <td className="number">{version.memory ? formatBytes(version.memory.sizeBytes) : NOTHING}</td>
      <td className="number">
        {shown?.isShadow && <span className="muted">shadow </span>}
        {shown ? formatCount(shown.calls) : NOTHING}
      </td>
      <td className={`number ${shown && shown.errors > 0 ? 'bad' : ''}`}>
        {shown ? formatErrors(shown.errors, shown.calls) : NOTHING}
      </td>
      <td className="number">{formatMs(shown?.p50Ms)}</td>
      <td className="number">{formatMs(shown?.p99Ms)}</td>
    </tr>
  )
}

function Trouble({ live }: { readonly live: LiveEndpoint | undefined }) {
  if (!live || (live.errorCodes.length === 0 && live.flags.length === 0)) return null
  return (
    <Panel title="Errors and flags" className="wide" aside={<span className="muted">last minute</span>}>
      <ul className="list">
        {live.errorCodes.map(({ code, count }) => (
          <li key={code}>
            <code className="code bad">{code}</code> {formatCount(count)}
          </li>
        ))}
        {live.flags.map(({ flag, count }) => (
          <li key={flag}>
            <Badge tone="warn">{flag}</Badge> {formatCount(count)}
          </li>
        ))}
      </ul>
    </Panel>
  )
}
