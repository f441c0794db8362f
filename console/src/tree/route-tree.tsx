// A route tree drawn, and as a table for those who read it so. An edge is as thick as the share of requests that took it.
import type { LiveArm, LiveVersion, RouteView } from '../api/types.js'
import { formatCount, formatErrors, formatMs, formatShare, NOTHING } from '../format.js'
import { BOX_HEIGHT, BOX_WIDTH, type Box, type Edge, layoutTree } from './layout.js'
import { armText, conditionsText, kindText } from './words.js'

interface RouteTreeProps {
  readonly route: RouteView
  readonly arms: readonly LiveArm[]
  readonly versions: readonly LiveVersion[]
}

export function RouteTree({ route, arms, versions }: RouteTreeProps) {
  const { width, height, boxes, edges } = layoutTree(route, arms)
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a tree wider than the page is scrolled with the keys */}
      <section className="tree-box" aria-label="Drawing of the route" tabIndex={0}>
        <svg
          className="tree"
          width={width}
          height={height}
          viewBox={`0 0 ${width} ${height}`}
          role="img"
          aria-label={`Route of ${boxes.length} nodes. The table below says the same.`}
        >
          {edges.map((edge) => (
            <TreeEdge key={edge.id} edge={edge} />
          ))}
          {boxes.map((box) => (
            <TreeBox
              key={box.id}
              box={box}
              versions={versions}
              isShadow={isInShadow(box, boxes)}
              isAlone={isAlone(box, boxes)}
            />
          ))}
        </svg>
      </section>
      {edges.length > 0 && <ArmTable edges={edges} />}
    </>
  )
}

function TreeEdge({ edge: { parent, arm, fromX, fromY, toX, toY, live } }: { readonly edge: Edge }) {
  const bend = fromX + 34
  const isIdle = live.share === null || live.share === 0
  const isCopy = parent.kind === 'shadow' && arm.arm === 'shadow'
  const width = isIdle ? 1.25 : 1.5 + live.share * 5
  const hint = parent.kind === 'match' && arm.arm !== 'otherwise' ? conditionsText(arm.settings) : armText(parent, arm)
  return (
    <g className={`edge ${isIdle ? 'idle' : ''} ${isCopy ? 'copy' : ''}`}>
      <title>{`${parent.name} → ${hint}`}</title>
      <path
        d={`M${fromX},${fromY} C${bend},${fromY} ${fromX + 10},${toY} ${fromX + 44},${toY} L${toX},${toY}`}
        strokeWidth={width}
      />
      <text x={toX - 6} y={toY - 7} textAnchor="end" className="edge-name">
        {clip(armText(parent, arm), 18)}
      </text>
      <text x={toX - 6} y={toY + 15} textAnchor="end" className="edge-live">
        {live.share === null
          ? ''
          : `${formatShare(live.share)}${live.errors > 0 ? `, ${formatErrors(live.errors, live.requests)} err.` : ''}`}
      </text>
    </g>
  )
}

interface TreeBoxProps {
  readonly box: Box
  readonly versions: readonly LiveVersion[]
  readonly isShadow: boolean
  /** No other leaf means its version: calls are counted by version. */
  readonly isAlone: boolean
}

function TreeBox({ box: { node, x, y, requests }, versions, isShadow, isAlone }: TreeBoxProps) {
  const { version } = node
  const title = version ? `${version.model} v${version.version ?? '?'}` : node.name
  const live = version
    ? versions.find((v) => v.model === version.model && v.version === version.version && v.isShadow === isShadow)
    : undefined
  const selector = version && !node.name.endsWith(`/${version.version}`) ? node.name.slice(version.model.length) : ''
  const state = version ? (version.state ?? 'not loaded') : ''
  const calls =
    live === undefined
      ? state
      : isAlone || requests === null
        ? `${formatCount(live.calls)} calls, p50 ${formatMs(live.p50Ms)}`
        : `${formatCount(requests)} requests`
  const line = version ? [selector, calls].filter((text) => text !== '').join(' · ') : kindText(node)
  return (
    <g className={`box ${node.arms.length === 0 ? 'leaf' : 'inner'} ${isShadow ? 'in-shadow' : ''}`}>
      <title>{`${title}: ${line}${version?.reason ? `. ${version.reason}` : ''}`}</title>
      <rect x={x} y={y} width={BOX_WIDTH} height={BOX_HEIGHT} rx={6} />
      {version && <circle cx={x + 14} cy={y + 19} r={4} className={stateTone(version.state)} />}
      <text x={x + (version ? 25 : 12)} y={y + 23} className="box-name">
        {clip(title, version ? 20 : 22)}
      </text>
      <text x={x + 12} y={y + 40} className="box-line">
        {clip(line, 25)}
      </text>
    </g>
  )
}

function isAlone({ id, node: { version } }: Box, boxes: readonly Box[]): boolean {
  return !boxes.some(
    ({ id: other, node }) =>
      other !== id && node.version?.model === version?.model && node.version?.version === version?.version,
  )
}

/** Below the copied arm of a shadow. */
function isInShadow(box: Box, boxes: readonly Box[]): boolean {
  for (let { id } = box; id !== '0'; ) {
    const arm = Number(id.slice(id.lastIndexOf('.') + 1))
    id = id.slice(0, id.lastIndexOf('.'))
    const parent = boxes.find((candidate) => candidate.id === id)!
    if (parent.node.kind === 'shadow' && parent.node.arms[arm]!.arm === 'shadow') return true
  }
  return false
}

function ArmTable({ edges }: { readonly edges: readonly Edge[] }) {
  return (
    <details className="tree-table">
      <summary>The same as a table</summary>
      <div className="table-plain">
        <table aria-label="Arms of the route">
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col">Arm</th>
              <th scope="col">Leads to</th>
              <th scope="col" className="number">
                Share set
              </th>
              <th scope="col" className="number">
                Share now
              </th>
              <th scope="col" className="number">
                Requests
              </th>
              <th scope="col" className="number">
                Errors
              </th>
            </tr>
          </thead>
          <tbody>
            {[...edges].sort(byId).map(({ id, parent, arm, live }) => (
              <tr key={id}>
                <td>{parent.name}</td>
                <td>{parent.kind === 'match' ? `${arm.arm} ${conditionsText(arm.settings)}` : armText(parent, arm)}</td>
                <td>{arm.route.name}</td>
                <td className="number">{formatShare(arm.share)}</td>
                <td className="number">{formatShare(live.share)}</td>
                <td className="number">{live.share === null ? NOTHING : formatCount(live.requests)}</td>
                <td className="number">{formatErrors(live.errors, live.requests)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  )
}

function byId(a: Edge, b: Edge): number {
  return a.id.localeCompare(b.id, 'en', { numeric: true })
}

export function stateTone(state: string | null): string {
  if (state === 'ready') return 'ok'
  if (state === 'resting' || state === 'loading') return 'warn'
  return state === null || state === 'unloaded' ? 'muted' : 'bad'
}

function clip(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text
}
