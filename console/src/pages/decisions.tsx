// What was changed, by whom: the newest decisions.
import { useState } from 'react'
import type { Decision } from '../api/types.js'
import { usePoll } from '../api/use-poll.js'
import { formatCount, formatValue } from '../format.js'
import { pathTo } from '../router.js'
import { Badge, Time } from '../ui/bits.js'
import { type Column, DataTable } from '../ui/data-table.js'
import { Empty, Loaded } from '../ui/states.js'

/** The server's own notes of versions it saw for the first time would hide everything else. */
const SEEN = 'version.seen'

export function DecisionsPage() {
  const decisions = usePoll<{ decisions: readonly Decision[] }>('/api/v1/decisions?limit=500', 5000)
  const [search, setSearch] = useState('')
  const [withSeen, setWithSeen] = useState(false)
  return (
    <>
      <h1>Decisions</h1>
      <Loaded of={decisions} what="decisions">
        {({ decisions: all }) => {
          const wanted = all.filter(
            (decision) =>
              (withSeen || decision.change.kind !== SEEN) &&
              `${decision.change.kind} ${decision.change.subject} ${decision.by.name} ${decision.id}`
                .toLowerCase()
                .includes(search.toLowerCase()),
          )
          return (
            <>
              <search className="filters">
                <label className="field">
                  <span>Search</span>
                  <input
                    type="search"
                    value={search}
                    placeholder="kind, subject or person"
                    onChange={(event) => setSearch(event.target.value)}
                  />
                </label>
                <label className="check">
                  <input type="checkbox" checked={withSeen} onChange={(event) => setWithSeen(event.target.checked)} />
                  versions seen
                </label>
                <span className="muted count" role="status">
                  {formatCount(wanted.length)} of the newest {formatCount(all.length)}
                </span>
              </search>
              <DataTable
                label="Decisions, newest first"
                rows={wanted}
                columns={COLUMNS}
                rowKey={({ id }) => id}
                to={({ id }) => pathTo('decisions', id)}
                empty={
                  <Empty title={wanted.length === all.length ? 'Nothing was decided yet' : 'No decision is like that'}>
                    Moving an alias, starting a release, switching a cache: each is a decision with its reason.
                  </Empty>
                }
              />
            </>
          )
        }}
      </Loaded>
    </>
  )
}

const COLUMNS: readonly Column<Decision>[] = [
  { key: 'number', title: 'No.', width: '64px', cell: ({ number }) => number, sort: ({ number }) => number },
  {
    key: 'time',
    isExtra: true,
    title: 'Time',
    width: '17%',
    cell: ({ timeMs }) => <Time ms={timeMs} />,
    sort: ({ timeMs }) => timeMs,
  },
  { key: 'kind', title: 'Change', width: '17%', cell: ({ change }) => change.kind, sort: ({ change }) => change.kind },
  {
    key: 'subject',
    title: 'Subject',
    cell: ({ change }) => <span title={change.subject}>{change.subject}</span>,
    sort: ({ change }) => change.subject,
  },
  {
    key: 'by',
    isExtra: true,
    title: 'By',
    width: '15%',
    cell: ({ by }) => `${by.kind === 'person' ? '' : `${by.kind} `}${by.name}`,
    sort: ({ by }) => by.name,
  },
  {
    key: 'why',
    title: 'Why',
    cell: ({ change, evidence, undoes, undoneBy }) => (
      <>
        {undoes !== null && <Badge tone="muted">undoes another</Badge>}
        {undoneBy !== null && <Badge tone="warn">undone</Badge>}
        <Why reason={evidence['reason'] ?? change.detail['reason']} />
      </>
    ),
  },
]

function Why({ reason }: { readonly reason: unknown }) {
  if (reason === undefined || reason === null) return null
  return <span title={formatValue(reason, 1000)}>{formatValue(reason)}</span>
}
