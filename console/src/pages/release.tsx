// One release: where it stands, what its guards have seen, who did what, and what each node does about it.
import type { PlanStep, Release, ReleaseStatus } from '../api/types.js'
import { usePoll } from '../api/use-poll.js'
import { formatCount, formatDuration, formatNumber, formatShare, formatValue, NOTHING } from '../format.js'
import { Link, pathTo } from '../router.js'
import { Badge, Facts, Figure, Panel, Time, type Tone } from '../ui/bits.js'
import { Empty, Loaded } from '../ui/states.js'
import { Guards } from './guards.js'
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
  const { release, weight, progress, guards, shadow, events, timeScale, isReduced } = status
  const failed = guards.filter(({ report }) => report.verdict === 'failed').length
  return (
    <>
      <h1>
        {release.model} {release.from} → {release.to}
      </h1>
      <p className="lead">
        <ReleaseBadge state={release.state} /> on{' '}
        <Link to={pathTo('endpoints', release.endpoint)}>{release.endpoint}</Link>, started
        {!isReduced && ` by ${release.startedBy.name}`} at <Time ms={release.startedMs} />
        {release.endedMs !== null && (
          <>
            , over at <Time ms={release.endedMs} />
          </>
        )}
        {timeScale !== 1 && ' '}
        {timeScale !== 1 && <Badge tone="warn">time runs {formatNumber(timeScale)} × faster</Badge>}
      </p>
      {release.endedMs !== null && (
        <p className={release.state === 'rolled-back' ? 'bad' : 'muted'}>{progress.summary}</p>
      )}
      <dl className="figures" aria-label="Where it stands">
        <Figure name="Candidate's share" value={formatShare(weight)} />
        <Figure
          name="Candidate's units"
          value={progress.units === null ? NOTHING : formatCount(progress.units)}
          note={progress.unitsNeeded > 0 ? `${formatCount(progress.unitsNeeded)} needed in this step` : 'in this step'}
        />
        <Figure
          name="Control's units"
          value={progress.controlUnits === null ? NOTHING : formatCount(progress.controlUnits)}
        />
        <Figure
          name="Time in this step"
          value={formatDuration(progress.elapsedMs)}
          note={progress.durationMs === null ? 'no length set' : `of ${formatDuration(progress.durationMs)}`}
        />
        {!isReduced && (
          <Figure
            name="Guards"
            value={
              failed > 0
                ? `${failed} failed`
                : `${guards.filter(({ report }) => report.verdict === 'passed').length} of ${guards.length} passed`
            }
            tone={failed > 0 ? 'bad' : 'ok'}
          />
        )}
      </dl>
      <div className="columns">
        <Panel title="Steps" className="wide" aside={<code className="code">{release.plan.text}</code>}>
          <Steps release={release} status={status} />
          {release.endedMs === null && <p className="muted">{progress.summary}</p>}
        </Panel>
        <Panel title="What happened">
          {isReduced ? (
            <Empty title="Not shown to a tenant">
              Who decided what, the reasons and the evidence of guards are of the traffic of all tenants. A key without
              a tenant sees them.
            </Empty>
          ) : events.length === 0 ? (
            <Empty title="Nothing yet" />
          ) : (
            <Timeline events={events} />
          )}
        </Panel>
        <div className="stack">
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
          {shadow && <ShadowReport report={shadow} />}
        </div>
        {!isReduced && <Guards guards={guards} />}
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
    ...(unitsNeeded === 0 || units === null ? [] : [units / unitsNeeded]),
  ]
  return parts.length === 0 ? 1 : Math.min(1, ...parts)
}

function Nodes({ status: { nodes, release, weight } }: { readonly status: ReleaseStatus }) {
  /** What a node last said of a release that is over is history. */
  const tone = (isSame: boolean): string => (isSame || release.endedMs !== null ? '' : 'warn')
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
              <td title={node.node}>{node.node.length > 16 ? `…${node.node.slice(-10)}` : node.node}</td>
              <td className={`number ${tone(node.revision === release.revision)}`}>{node.revision ?? 'none'}</td>
              <td className={`number ${tone(node.weight === weight)}`}>{formatShare(node.weight)}</td>
              <td title={node.reason ?? undefined}>
                <Badge tone={node.isWarm ? 'ok' : 'warn'}>{node.isWarm ? 'warm' : 'cold'}</Badge>
                <Badge tone={node.holdsLease ? 'ok' : 'muted'}>{node.holdsLease ? 'leased' : 'no lease'}</Badge>
                {node.reason && release.endedMs === null && <span className="muted"> {node.reason}</span>}
              </td>
              <td className="number">{formatDuration(node.ageMs)} ago</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** Its words, and below them every figure as it came. */
function ShadowReport({ report }: { readonly report: Readonly<Record<string, unknown>> }) {
  const { verdict, summary, ...figures } = report
  const tone: Tone = verdict === 'indistinguishable' ? 'ok' : verdict === 'differs' ? 'warn' : 'muted'
  return (
    <Panel title="Shadow report" aside={<Badge tone={tone}>{formatValue(verdict)}</Badge>}>
      <p>{formatValue(summary, 1000)}</p>
      <details>
        <summary>All figures</summary>
        <Facts of={figures} />
      </details>
    </Panel>
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
