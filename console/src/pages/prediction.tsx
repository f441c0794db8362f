// One prediction explained: the way it took, every call, the times, what went in and out, and what became known later.
import type { PredictionExplanation, PredictionRecord, RecordedCall, ServedGroup, StoredTensor } from '../api/types.js'
import { usePoll } from '../api/use-poll.js'
import { formatDuration, formatMs, formatShare, formatValue, NOTHING } from '../format.js'
import { Link, pathTo } from '../router.js'
import { Badge, Panel, Time } from '../ui/bits.js'
import { Empty, Loaded } from '../ui/states.js'

export function PredictionPage({ id }: { readonly id: string }) {
  const explanation = usePoll<PredictionExplanation>(`/api/v1/predictions/${encodeURIComponent(id)}`)
  return (
    <>
      <nav aria-label="Where you are" className="crumbs">
        <Link to="/log">Log</Link>
      </nav>
      <h1>
        Prediction <code className="id">{id}</code>
      </h1>
      <Loaded of={explanation} what="the prediction">
        {(data) => (
          <>
            {data.prediction && <Lead prediction={data.prediction} />}
            <div className="columns">
              <Panel title="What happened" className="wide">
                <ol className="story">
                  {data.steps.map((step, i) => (
                    // biome-ignore lint/suspicious/noArrayIndexKey: sentences in their order
                    <li key={i}>{step}</li>
                  ))}
                </ol>
              </Panel>
              {data.prediction && <Times prediction={data.prediction} />}
              <Calls prediction={data.prediction} late={data.calls.map(({ call }) => call)} />
              {data.prediction && <RouteTaken prediction={data.prediction} />}
              <Outcomes explanation={data} />
              {data.prediction && <Served prediction={data.prediction} />}
              {data.prediction && <Tensors prediction={data.prediction} />}
            </div>
          </>
        )}
      </Loaded>
    </>
  )
}

function Lead({ prediction }: { readonly prediction: PredictionRecord }) {
  const { endpoint, timeMs, protocol, rows, unit, tenant, error, flags, traceId } = prediction
  return (
    <p className="lead">
      {error === null ? <Badge tone="ok">answered</Badge> : <code className="code bad">{error}</code>}
      {flags.map((flag) => (
        <Badge key={flag} tone="warn">
          {flag}
        </Badge>
      ))}{' '}
      <Link to={pathTo('endpoints', endpoint)}>{endpoint}</Link> at <Time ms={timeMs} />{' '}
      <span className="muted">
        {protocol}, {rows === 1 ? 'one row' : `${rows} rows`}, tenant {tenant}
        {unit !== null && `, unit ${unit}`}
        {traceId !== null && `, trace ${traceId}`}
      </span>
    </p>
  )
}

const STAGES = ['admit', 'features', 'route', 'shape'] as const

function Times({ prediction: { stages } }: { readonly prediction: PredictionRecord }) {
  const totalMs = STAGES.reduce((sum, stage) => sum + stages[stage], 0)
  let doneMs = 0
  return (
    <Panel title="Times" aside={<span className="muted">{formatMs(totalMs)} in all</span>}>
      <dl className="bars">
        {STAGES.map((stage) => {
          const startMs = doneMs
          doneMs += stages[stage]
          return <Bar key={stage} name={stage} startMs={startMs} partsMs={[stages[stage]]} totalMs={totalMs} />
        })}
      </dl>
    </Panel>
  )
}

/** Where in the whole something was, in one or two parts. */
function Bar({
  name,
  startMs,
  partsMs,
  totalMs,
}: {
  name: string
  startMs: number
  partsMs: readonly number[]
  totalMs: number
}) {
  const share = (ms: number): string => `${totalMs === 0 ? 0 : Math.min(100, (ms / totalMs) * 100)}%`
  return (
    <div className="bar-row">
      <dt>{name}</dt>
      <dd>
        <span className="bar" aria-hidden="true">
          <i style={{ width: share(startMs) }} />
          {partsMs.map((ms, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the first part is the queue
            <b key={i} className={partsMs.length > 1 && i === 0 ? 'queue' : ''} style={{ width: share(ms) }} />
          ))}
        </span>
        <span className="bar-value">{formatMs(partsMs.reduce((a, b) => a + b, 0))}</span>
      </dd>
    </div>
  )
}

interface CallsProps {
  readonly prediction: PredictionRecord | null
  readonly late: readonly RecordedCall[]
}

function Calls({ prediction, late }: CallsProps) {
  const calls = [...(prediction?.calls ?? []), ...late]
  const longestMs = Math.max(0, ...calls.map(({ latencyMs }) => latencyMs))
  return (
    <Panel
      title="Calls"
      aside={
        <span className="muted">
          <span className="queue-word">queue</span> and <span className="run-word">run</span>
        </span>
      }
    >
      {calls.length === 0 ? (
        <Empty title="No version was called" />
      ) : (
        <ul className="list">
          {calls.map((call, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: calls in their order
            <li key={i}>
              <dl className="bars">
                <Bar
                  name={call.leaf}
                  startMs={0}
                  partsMs={[Math.min(call.queueMs, call.latencyMs), Math.max(0, call.latencyMs - call.queueMs)]}
                  totalMs={longestMs}
                />
              </dl>
              <span className="muted">
                {call.role}
                {call.batchRows > 0 && `, batch of ${call.batchRows}`}
                {call.cached && `, ${call.cached === 'hit' ? 'from the cache' : call.cached}`}
                {i >= (prediction?.calls.length ?? 0) && ', after the reply'}
              </span>{' '}
              {call.status !== 'ok' && <code className="code bad">{call.status}</code>}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

function RouteTaken({ prediction: { route, flags } }: { readonly prediction: PredictionRecord }) {
  return (
    <Panel title="Route taken">
      {route.length === 0 ? (
        <Empty title={flags.includes('pinned') ? 'The call named its version' : 'The endpoint is one version'} />
      ) : (
        <div className="table-plain">
          <table aria-label="Route taken">
            <thead>
              <tr>
                <th scope="col">Node</th>
                <th scope="col">Arm</th>
                <th scope="col" className="number">
                  Probability
                </th>
              </tr>
            </thead>
            <tbody>
              {route.map(({ node, arm, probability }) => (
                <tr key={node}>
                  <td>{node}</td>
                  <td>{arm}</td>
                  <td className="number">{formatShare(probability)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}

function Outcomes({ explanation: { outcomes } }: { readonly explanation: PredictionExplanation }) {
  return (
    <Panel title="Outcomes">
      {outcomes.length === 0 ? (
        <Empty title="Nothing became known yet">
          Labels, clicks and rewards that name this prediction appear here.
        </Empty>
      ) : (
        <ul className="list">
          {outcomes.map(({ id, name, value, knownMs, prediction }) => (
            <li key={id}>
              {name} = <strong>{formatValue(value)}</strong>{' '}
              <span className="muted">
                known <Time ms={knownMs} />
                {prediction.includes('#') && `, row ${prediction.split('#')[1]}`}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

function Served({ prediction: { payload } }: { readonly prediction: PredictionRecord }) {
  const served = payload?.served
  if (!served) return null
  const rows = served.groups.flatMap((group) => group.names.map((name, i) => ({ name, ...servedFeature(group, i) })))
  const keys = Object.entries(served.keys).map(([name, { value, values }]) => `${name} ${formatValue(value ?? values)}`)
  return (
    <Panel
      title="Features as served"
      className="wide"
      aside={
        <span className="muted">
          {served.services.join(', ')}; {keys.join(', ')}
        </span>
      }
    >
      <div className="table-plain">
        <table aria-label="Features as served">
          <thead>
            <tr>
              <th scope="col">Feature</th>
              <th scope="col">Value</th>
              <th scope="col">Source</th>
              <th scope="col">Gap</th>
              <th scope="col" className="number">
                Age
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ name, value, source, gap, ageMs }) => (
              <tr key={name}>
                <td>{name}</td>
                <td>{value}</td>
                <td>{source}</td>
                <td>{gap === undefined ? '' : <Badge tone="warn">{gap}</Badge>}</td>
                <td className="number">{ageMs == null ? NOTHING : formatDuration(ageMs)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}

function servedFeature(group: ServedGroup, i: number) {
  return {
    value: group.redacted ? 'redacted' : formatValue(group.values?.[i] ?? group.rowValues?.[i]),
    source: group.source ?? group.sources?.[i] ?? '',
    gap: group.gap ?? (group.gaps?.[i] || undefined),
    ageMs: group.ageMs ?? group.agesMs?.[i],
  }
}

function Tensors({ prediction: { payload, calls } }: { readonly prediction: PredictionRecord }) {
  if (!payload)
    return (
      <Panel title="Inputs and outputs">
        <Empty title="They are not in the log">
          {payload === null ? 'They were dropped or are too old.' : 'This prediction was not sampled.'}
        </Empty>
      </Panel>
    )
  return (
    <>
      <Panel title="Inputs" className="wide">
        <TensorTable tensors={payload.inputs} label="Inputs" />
      </Panel>
      {payload.outputs.map(({ call, tensors }) => (
        <Panel
          key={call}
          title="Outputs"
          className="wide"
          aside={<span className="muted">{call === -1 ? 'combined' : calls[call]?.leaf}</span>}
        >
          <TensorTable tensors={tensors} label="Outputs" />
        </Panel>
      ))}
    </>
  )
}

function TensorTable({ tensors, label }: { readonly tensors: readonly StoredTensor[]; readonly label: string }) {
  return (
    <div className="table-plain">
      <table aria-label={label}>
        <thead>
          <tr>
            <th scope="col">Tensor</th>
            <th scope="col">Type</th>
            <th scope="col">Values</th>
          </tr>
        </thead>
        <tbody>
          {tensors.map(({ name, datatype, shape, data }) => (
            <tr key={name}>
              <td>{name}</td>
              <td className="muted">
                {datatype} [{shape.join(', ')}]
              </td>
              <td className="wrap">
                <code>
                  {data
                    .slice(0, 64)
                    .map((value) => formatValue(value, 40))
                    .join(', ')}
                </code>
                {data.length > 64 && <span className="muted"> and {data.length - 64} more</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
