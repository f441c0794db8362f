// What guards have seen: all of them in a table, and plots of those that have seen anything.
import type { Guard } from '../api/types.js'
import { formatCount, formatInterval, formatNumber, formatRatio, NOTHING, type RatioInterval } from '../format.js'
import { Badge, Panel, type Tone } from '../ui/bits.js'
import { Chart } from '../ui/chart.js'
import { Empty } from '../ui/states.js'

const VERDICTS: Readonly<Record<Guard['report']['verdict'], Tone>> = {
  failed: 'bad',
  passed: 'ok',
  inconclusive: 'muted',
}

export function Guards({ guards }: { readonly guards: readonly Guard[] }) {
  const seen = guards.filter(({ report, series }) => report.candidate + report.reference > 0 && series.length > 1)
  return (
    <>
      <Panel
        title="Guards"
        className="wide"
        aside={<span className="muted">units with an event, and their rate over the reference’s</span>}
      >
        {guards.length === 0 ? (
          <Empty title="Guards have said nothing yet">They speak when the candidate has been called.</Empty>
        ) : (
          <div className="table-plain">
            <table aria-label="Guards">
              <thead>
                <tr>
                  <th scope="col">Guard</th>
                  <th scope="col">Verdict</th>
                  <th scope="col" className="number">
                    Candidate
                  </th>
                  <th scope="col" className="number">
                    Reference
                  </th>
                  <th scope="col" className="number">
                    Rate
                  </th>
                  <th scope="col">Interval</th>
                  <th scope="col">Evidence of its limit</th>
                </tr>
              </thead>
              <tbody>
                {guards.map((guard) => (
                  <GuardRow key={guard.report.guard} guard={guard} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {seen.map((guard, i) => (
        <GuardPlots key={guard.report.guard} guard={guard} isWide={seen.length % 2 === 1 && i === seen.length - 1} />
      ))}
    </>
  )
}

function GuardRow({ guard: { report } }: { readonly guard: Guard }) {
  const { relative, eValue, alpha } = report
  const hasEvents = report.candidate + report.reference > 0
  return (
    <tr title={report.summary}>
      <td>{report.guard}</td>
      <td>
        <Badge tone={VERDICTS[report.verdict]}>{report.verdict}</Badge>
      </td>
      <td className="number">{formatCount(report.candidate)}</td>
      <td className="number">{formatCount(report.reference)}</td>
      <td className="number">{relative ? formatRatio(relative.estimate) : NOTHING}</td>
      <td>
        {relative && <IntervalPlot {...relative} />}{' '}
        <span className="muted">{relative && formatInterval(relative)}</span>
      </td>
      <td>{hasEvents ? <Evidence eValue={eValue} limit={1 / alpha} /> : <span className="muted">{NOTHING}</span>}</td>
    </tr>
  )
}

const WIDTH = 150
/** A quarter and four times the rate stand as far from the same one. */
const REACH = 8

/** On a logarithmic axis from an eighth to eight times, with the same rate in the middle. */
function IntervalPlot({ estimate, low, high }: RatioInterval) {
  const at = (ratio: number): number => {
    const bounded = Math.min(REACH, Math.max(1 / REACH, ratio))
    return 3 + ((Math.log(bounded) / Math.log(REACH) + 1) / 2) * (WIDTH - 6)
  }
  return (
    <svg className="interval" width={WIDTH} height={16} viewBox={`0 0 ${WIDTH} 16`} aria-hidden="true">
      <line className="interval-one" x1={at(1)} x2={at(1)} y1={0} y2={16} />
      <line className="interval-line" x1={at(low)} x2={at(high)} y1={8} y2={8} />
      <circle cx={at(estimate)} cy={8} r={3.5} />
    </svg>
  )
}

/** How far the evidence is on its way to the limit, in orders of magnitude: none is at or below 1. */
function Evidence({ eValue, limit }: { readonly eValue: number; readonly limit: number }) {
  const share = eValue <= 1 ? 0 : Math.min(1, Math.log(eValue) / Math.log(limit))
  return (
    <span className="evidence">
      <span className="evidence-bar" aria-hidden="true">
        <i className={share >= 1 ? 'over' : ''} style={{ width: `${share * 100}%` }} />
      </span>
      <span className="muted">
        {eValue < LEAST ? `<${LEAST}` : formatNumber(eValue)} of {formatNumber(Math.round(limit))}
      </span>
    </span>
  )
}

function GuardPlots({ guard: { report, series }, isWide }: { readonly guard: Guard; readonly isWide: boolean }) {
  const limit = 1 / report.alpha
  const timesMs = series.map(({ timeMs }) => timeMs)
  return (
    <Panel
      title={`Guard: ${report.guard}`}
      className={isWide ? 'wide' : ''}
      aside={<Badge tone={VERDICTS[report.verdict]}>{report.verdict}</Badge>}
    >
      <p>{report.summary}</p>
      <div className="guard-charts">
        <div>
          <h3>Rate over the reference’s</h3>
          <Chart
            label={`${report.guard}: the candidate's rate over the reference's, with its interval`}
            timesMs={timesMs}
            format={cappedText}
            height={130}
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
              { name: 'rate', colour: 'chart-1', values: series.map(({ estimate }) => capped(estimate)) },
              { name: 'same', colour: 'muted', values: series.map(() => 1), isDashed: true, isQuiet: true },
            ]}
          />
        </div>
        <div>
          <h3>Evidence against the candidate</h3>
          <Chart
            label={`${report.guard}: evidence against the candidate and the limit at which it fails`}
            timesMs={timesMs}
            format={formatNumber}
            height={130}
            isLogarithmic
            range={[0.1, limit]}
            lines={[
              { name: 'evidence', colour: 'chart-2', values: series.map(({ eValue }) => Math.max(eValue, LEAST)) },
              { name: 'limit', colour: 'bad', values: series.map(() => limit), isDashed: true },
            ]}
          />
        </div>
      </div>
    </Panel>
  )
}

/** Less says no more, and would press the part that matters flat. */
const LEAST = 0.01

const CAP = 6

/** While little is known an interval reaches so far that nothing else could be seen beside it. */
function capped(value: number | null): number | null {
  return value === null ? null : Math.min(value, CAP)
}

function cappedText(value: number): string {
  return value >= CAP ? `≥${CAP}` : formatNumber(value)
}
