// One decision: what it changed, why, and what else was decided about the same thing.
import type { DecisionExplanation } from '../api/types.js'
import { usePoll } from '../api/use-poll.js'
import { Link, pathTo } from '../router.js'
import { Badge, Facts, Panel, Time } from '../ui/bits.js'
import { Empty, Loaded } from '../ui/states.js'

export function DecisionPage({ id }: { readonly id: string }) {
  const explanation = usePoll<DecisionExplanation>(`/api/v1/decisions/${encodeURIComponent(id)}`)
  return (
    <>
      <nav aria-label="Where you are" className="crumbs">
        <Link to="/decisions">Decisions</Link>
      </nav>
      <Loaded of={explanation} what="the decision">
        {({ decision, summary, canUndo, reason, related }) => (
          <>
            <h1>
              {decision.change.kind} <span className="muted">{decision.change.subject}</span>
            </h1>
            <p className="lead">
              {summary}{' '}
              <span className="muted">
                Number {decision.number}, by {decision.by.kind} {decision.by.name} at <Time ms={decision.timeMs} />
              </span>{' '}
              {decision.undoneBy !== null && <Badge tone="warn">undone</Badge>}
            </p>
            <div className="columns">
              <Panel title="Change">
                <Facts of={decision.change.detail} />
              </Panel>
              <Panel title="Before">
                {decision.before === null ? <Empty title="There was nothing" /> : <Facts of={decision.before} />}
              </Panel>
              <Panel title="Undo" className="wide">
                {canUndo ? (
                  <p>
                    <code>headrace decisions undo {decision.id}</code>
                  </p>
                ) : (
                  <p className="muted">{reason}</p>
                )}
              </Panel>
              <Panel title="Evidence" className="wide">
                <Facts of={decision.evidence} />
              </Panel>
              <Panel title="On the same subject" className="wide">
                {related.length === 0 ? (
                  <Empty title="Nothing else" />
                ) : (
                  <ul className="list">
                    {related.map((other) => (
                      <li key={other.id}>
                        <Link to={pathTo('decisions', other.id)}>{other.change.kind}</Link>{' '}
                        <span className="muted">
                          {other.by.name}, <Time ms={other.timeMs} />
                        </span>
                      </li>
                    ))}
                  </ul>
                )}
              </Panel>
            </div>
          </>
        )}
      </Loaded>
    </>
  )
}
