// Every release, newest first.
import { useState } from 'react'
import type { Release, ReleaseState } from '../api/types.js'
import { usePoll } from '../api/use-poll.js'
import { formatCount, formatDuration } from '../format.js'
import { pathTo } from '../router.js'
import { Badge, Time, type Tone } from '../ui/bits.js'
import { type Column, DataTable } from '../ui/data-table.js'
import { Empty, Loaded } from '../ui/states.js'

const TONES: Readonly<Record<ReleaseState, Tone>> = {
  running: 'accent',
  paused: 'warn',
  completed: 'ok',
  aborted: 'muted',
  'rolled-back': 'bad',
}

export function ReleaseBadge({ state }: { readonly state: ReleaseState }) {
  return <Badge tone={TONES[state]}>{state}</Badge>
}

export function ReleasesPage() {
  const releases = usePoll<{ releases: readonly Release[] }>('/api/v1/releases?limit=1000', 5000)
  const [search, setSearch] = useState('')
  return (
    <>
      <h1>Releases</h1>
      <Loaded of={releases} what="releases">
        {({ releases: all }) => {
          const wanted = all.filter(({ endpoint, model, to, state }) =>
            `${endpoint} ${model} v${to} ${state}`.toLowerCase().includes(search.toLowerCase()),
          )
          return (
            <>
              <search className="filters">
                <label className="field">
                  <span>Search</span>
                  <input
                    type="search"
                    value={search}
                    placeholder="endpoint, model or state"
                    onChange={(event) => setSearch(event.target.value)}
                  />
                </label>
                <span className="muted count" role="status">
                  {formatCount(wanted.length)} of {formatCount(all.length)}
                </span>
              </search>
              <DataTable
                label="Releases"
                rows={wanted}
                columns={COLUMNS}
                rowKey={({ id }) => id}
                to={({ id }) => pathTo('releases', id)}
                sortedBy={{ key: 'started', isDescending: true }}
                empty={
                  all.length === 0 ? (
                    <Empty title="No releases yet">
                      <code>headrace release start fraud --to 2 --plan canary:5%/30m,100%</code> moves an endpoint to
                      another version, step by step, and back by itself when the version is worse.
                    </Empty>
                  ) : (
                    <Empty title="No release is like that" />
                  )
                }
              />
            </>
          )
        }}
      </Loaded>
    </>
  )
}

const COLUMNS: readonly Column<Release>[] = [
  {
    key: 'endpoint',
    title: 'Endpoint',
    width: '20%',
    cell: ({ endpoint }) => endpoint,
    sort: ({ endpoint }) => endpoint,
  },
  {
    key: 'versions',
    title: 'Versions',
    cell: ({ model, from, to }) => `${model} ${from} → ${to}`,
    sort: ({ model, to }) => `${model} ${String(to).padStart(9)}`,
  },
  {
    key: 'state',
    title: 'State',
    width: '12%',
    cell: ({ state }) => <ReleaseBadge state={state} />,
    sort: ({ state }) => state,
  },
  {
    key: 'step',
    isExtra: true,
    title: 'Step',
    width: '9%',
    cell: ({ step, plan }) => `${step + 1} of ${plan.steps.length}`,
    sort: ({ step }) => step,
  },
  {
    key: 'plan',
    isExtra: true,
    title: 'Plan',
    cell: ({ plan }) => <span title={plan.text}>{plan.name ?? plan.text}</span>,
  },
  {
    key: 'started',
    title: 'Started',
    width: '16%',
    cell: ({ startedMs }) => <Time ms={startedMs} />,
    sort: ({ startedMs }) => startedMs,
  },
  {
    key: 'took',
    isExtra: true,
    title: 'Took',
    width: '10%',
    isNumber: true,
    cell: ({ startedMs, endedMs }) =>
      endedMs === null ? <span className="muted">not over</span> : formatDuration(endedMs - startedMs),
    sort: ({ startedMs, endedMs }) => (endedMs === null ? null : endedMs - startedMs),
  },
]
