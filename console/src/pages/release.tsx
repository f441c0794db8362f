// One release: where it stands, what its guards have seen, who did what, and what each node does about it.
import type { Guard, PlanStep, Release, ReleaseStatus } from '../api/types.js'
import { usePoll } from '../api/use-poll.js'
import { formatCount, formatDuration, formatNumber, formatShare } from '../format.js'
import { Link, pathTo } from '../router.js'
import { Badge, Facts, Figure, Panel, Time, type Tone } from '../ui/bits.js'
import { Chart } from '../ui/chart.js'
import { Empty, Loaded } from '../ui/states.js'
import { ReleaseBadge } from './releases.js'

export function ReleasePage({ id }: { readonly id: string }) {
  const status = usePoll<ReleaseStatus>(`/api/v1/releases/${encodeURIComponent(id)}`, 2000)
  return (
    <>
      <nav aria-label="Where you are" className="crumbs">
        <Link to="/releases">Releases</Link>
      </nav>
      <Loaded of={status} what="the release">
        {(data) => <ReleaseView status={data} />}
      </Loaded>
    </>
  )
}

function ReleaseView({ status }: { readonly status: ReleaseStatus }) {
  const { release, weight, progress, guards, shadow, nodes, events, timeScale } = status
  const failed = guards.filter(({ report }) => report.verdict === 'failed').length
  return (
    <>
      <h1>
        {release.model} {release.from} → {release.to}
      </h1>
      <p className="lead">
        <ReleaseBadge state={release.state} /> on{' '}
        <Link to={pathTo('endpoints', release.endpoint)}>{release.endpoint}</Link>, started by {release.startedBy.name}{' '}
        at <Time ms={release.startedMs} />
        {release.endedMs !== null && (
          <>
            , over at <Time ms={release.endedMs} />
          </>
        )}
        {timeScale !== 1 && <Badge tone="warn">time runs {formatNumber(timeScale)} × faster</Badge>}
      </p>
      {release.reason && <p className={release.state === 'rolled-back' ? 'bad' : 'muted'}>{release.reason}</p>}
      <dl className="figures" aria-label="Where it stands">
        <Figure name="Candidate's share" value={formatShare(weight)} />
        <Figure
          name="Candidate's units"
          value={formatCount(progress.units)}
          note={progress.unitsNeeded > 0 ? `of ${formatCount(progress.unitsNeeded)} in this step` : 'in this step'}
        />
        <Figure name="Control's units" value={formatCount(progress.controlUnits)} />
        <Figure
          name="Time in this step"
          value={formatDuration(progress.elapsedMs)}
          note={progress.durationMs === null ? 'no length set' : `of ${formatDuration(progress.durationMs)}`}
        />
        <Figure
          name="Guards"
          value={
            failed > 0
              ? `${failed} failed`
              : `${guards.filter(({ report }) => report.verdict === 'passed').length} of ${guards.length} passed`
          }
          tone={failed > 0 ? 'bad' : 'ok'}
        />
      </dl>
      <div className="columns">
        <Panel title="Steps" className="wide" aside={<code className="code">{release.plan.text}</code>}>
          <Steps release={release} status={status} />
          <p className="muted">{progress.summary}</p>
        </Panel>
        {guards.length === 0 && (
          <Panel title="Guards" className="wide">
            <Empty title="Guards have said nothing yet">They speak when the candidate has been called.</Empty>
          </Panel>
        )}
        {guards.map((guard) => (
          <GuardPanel key={guard.report.guard} guard={guard} />
        ))}
        {shadow && (
          <Panel title="Shadow report">
            <Facts of={shadow} />
          </Panel>
        )}
        <Panel
          title="Nodes"
          aside={
            <span className="muted">
              wanted: revision {release.revision}, {formatShare(weight)}
            </span>
          }
        >
          <Nodes status={status} />
        </Panel>
        <Panel title="What happened" className={nodes.length > 0 && shadow ? 'wide' : ''}>
          {events.length === 0 ? <Empty title="Nothing yet" /> : <Timeline events={events} />}
        </Panel>
      </div>
    </>
  )
}

function Steps({ release, status: { progress } }: { readonly release: Release; readonly status: ReleaseStatus }) {
  const isOver = release.endedMs !== null
  return (
    <ol className="steps">
      {release.plan.steps.map((step, i) => {
        const place =
          i < release.step || release.state === 'completed'
            ? 'done'
            : i > release.step
              ? 'ahead'
              : isOver
                ? 'ended'
                : 'now'
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a plan's steps have no names and keep their places
          <li key={i} className={`step ${place}`} aria-current={place === 'now' ? 'step' : undefined}>
            <span className="step-title">{stepTitle(step)}</span>
            <span className="muted">{stepLength(step)}</span>
            <span className="step-bar" aria-hidden="true">
              <i
                style={{
                  width: `${place === 'done' ? 100 : place === 'ahead' ? 0 : stepShare(step, progress) * 100}%`,
                }}
              />
            </span>
            <span className="visually-hidden">{place}</span>
          </li>
        )
      })}
    </ol>
  )
}

function stepTitle(step: PlanStep): string {
  if (step.kind === 'shadow')
    return step.sample === undefined || step.sample === 1 ? 'shadow' : `shadow of ${formatShare(step.sample)}`
  return step.weight === 1 ? 'all traffic' : `canary ${formatShare(step.weight)}`
}

function stepLength({ length: { durationMs, units } }: PlanStep): string {
  const parts = [
    ...(durationMs === undefined ? [] : [formatDuration(durationMs)]),
    ...(units === undefined ? [] : [`${formatCount(units)} units`]),
  ]
  return parts.join(' and ') || 'at once'
}

/** Of what the step waits for: the part that is furthest behind. */
function stepShare({ length }: PlanStep, { elapsedMs, units, unitsNeeded }: ReleaseStatus['progress']): number {
  const parts = [
    ...(length.durationMs === undefined ? [] : [elapsedMs / length.durationMs]),
    ...(unitsNeeded === 0 ? [] : [units / unitsNeeded]),
  ]
  return parts.length === 0 ? 1 : Math.min(1, ...parts)
}

const VERDICTS: Readonly<Record<Guard['report']['verdict'], Tone>> = {
  failed: 'bad',
  passed: 'ok',
  inconclusive: 'muted',
}

function GuardPanel({ guard: { report, series } }: { readonly guard: Guard }) {
  const limit = 1 / report.alpha
  const timesMs = series.map(({ timeMs }) => timeMs)
  const positive = (value: number | null): number | null => (value === null || value <= 0 ? null : value)
  return (
    <Panel title={`Guard: ${report.guard}`} aside={<Badge tone={VERDICTS[report.verdict]}>{report.verdict}</Badge>}>
      <p>{report.summary}</p>
      <p className="muted">
        {formatCount(report.candidate)} units of the candidate, {formatCount(report.reference)} of the reference
        {report.relative &&
          `; rate ${formatNumber(report.relative.estimate)} × the reference's, between ${formatNumber(report.relative.low)} and ${formatNumber(report.relative.high)}`}
        . Evidence {formatNumber(report.eValue)} of {formatNumber(limit)}.
      </p>
      {series.length < 2 ? (
        <p className="muted">A plot follows when there is more than one look.</p>
      ) : (
        <div className="guard-charts">
          <div>
            <h3>Rate over the reference's</h3>
            <Chart
              label={`${report.guard}: the candidate's rate over the reference's, with its interval`}
              timesMs={timesMs}
              format={formatNumber}
              range={[0, 2]}
              lines={[
                {
                  name: 'high',
                  colour: 'chart-1',
                  values: series.map(({ high }) => capped(high)),
                  bandTo: 1,
                  isEdge: true,
                },
                { name: 'low', colour: 'chart-1', values: series.map(({ low }) => capped(low)), isEdge: true },
                { name: 'estimate', colour: 'chart-1', values: series.map(({ estimate }) => capped(estimate)) },
                { name: 'the same', colour: 'muted', values: series.map(() => 1), isDashed: true },
              ]}
            />
          </div>
          <div>
            <h3>Evidence against the candidate</h3>
            <Chart
              label={`${report.guard}: evidence against the candidate and the limit at which it fails`}
              timesMs={timesMs}
              format={formatNumber}
              isLogarithmic
              range={[0.1, limit]}
              lines={[
                { name: 'evidence', colour: 'chart-2', values: series.map(({ eValue }) => positive(eValue)) },
                { name: 'limit', colour: 'bad', values: series.map(() => limit), isDashed: true },
              ]}
            />
          </div>
        </div>
      )}
    </Panel>
  )
}

/** While little is known an interval reaches so far that nothing else could be seen beside it. */
function capped(value: number | null): number | null {
  return value === null ? null : Math.min(value, 10)
}

function Nodes({ status: { nodes, release, weight } }: { readonly status: ReleaseStatus }) {
  if (nodes.length === 0) return <Empty title="No node has reported yet" />
  return (
    <div className="table-plain">
      <table aria-label="Nodes">
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col" className="number">
              Revision
            </th>
            <th scope="col" className="number">
              Share
            </th>
            <th scope="col">Candidate</th>
            <th scope="col" className="number">
              Heard
            </th>
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <tr key={node.node}>
              <td title={node.node}>{node.node}</td>
              <td className={`number ${node.revision === release.revision ? '' : 'warn'}`}>
                {node.revision ?? 'none'}
              </td>
              <td className={`number ${node.weight === weight ? '' : 'warn'}`}>{formatShare(node.weight)}</td>
              <td title={node.reason ?? undefined}>
                <Badge tone={node.isWarm ? 'ok' : 'warn'}>{node.isWarm ? 'warm' : 'cold'}</Badge>
                <Badge tone={node.holdsLease ? 'ok' : 'muted'}>{node.holdsLease ? 'leased' : 'no lease'}</Badge>
                {node.reason && <span className="muted"> {node.reason}</span>}
              </td>
              <td className="number">{formatDuration(node.ageMs)} ago</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Timeline({ events }: { readonly events: ReleaseStatus['events'] }) {
  return (
    <ol className="timeline">
      {[...events]
        .sort((a, b) => b.timeMs - a.timeMs)
        .map((event) => (
          <li key={event.decision}>
            <span className="timeline-when">
              <Time ms={event.timeMs} />
            </span>
            <div>
              <Link to={pathTo('decisions', event.decision)}>{event.kind}</Link>{' '}
              <span className="muted">
                by {event.by.kind === 'person' ? '' : `${event.by.kind} `}
                {event.by.name}
              </span>
              <p>{event.summary}</p>
              {Object.keys(event.evidence).length > 0 && (
                <details>
                  <summary>Evidence</summary>
                  <Facts of={event.evidence} />
                </details>
              )}
            </div>
          </li>
        ))}
    </ol>
  )
}
