// The floor rule: an import goes only down, siblings never import each other, other domains are entered by their
// index.js, and no files import each other in a circle. `npm run build` runs this before the compiler.
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { importsOf } from './imports.js'

/** DESIGN.md, "The house". A folder of `src/` that is not here is an error. */
export const FLOORS: readonly (readonly string[])[] = [
  ['core'],
  ['tensor', 'flow', 'stats', 'store', 'client', 'oip', 'formats'],
  ['access', 'registry', 'tracking', 'features', 'serving', 'route', 'log', 'decisions'],
  ['path'],
  ['release', 'experiment', 'monitor', 'recommend', 'gateway', 'scoring', 'learn'],
  ['app'],
  ['server', 'cli'],
]

export interface Violation {
  readonly file: string
  readonly line: number
  readonly import: string
  readonly rule: string
}

interface Edge {
  readonly to: string
  readonly line: number
  readonly specifier: string
}

const floorOf = (domain: string): number => FLOORS.findIndex((domains) => domains.includes(domain))
const domainOf = (file: string): string => file.slice(0, file.indexOf('/'))

/**
 * Checks a tree of sources, given as path below `src/` to text. Type-only imports count like any other:
 * two files that need each other's types are one idea, or miss an interface below both.
 */
export function checkFloors(sources: ReadonlyMap<string, string>): Violation[] {
  const violations: Violation[] = []
  const graph = new Map<string, Edge[]>()
  for (const [file, text] of sources) {
    const edges: Edge[] = []
    graph.set(file, edges)
    const misplaced = placeRule(file)
    if (misplaced !== undefined) {
      violations.push({ file, line: 1, import: '', rule: misplaced })
      continue
    }
    for (const { specifier, line } of importsOf(text)) {
      const target = specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : specifier
      const rule = importRule(file, specifier, target)
      if (rule !== undefined) violations.push({ file, line, import: specifier, rule })
      const source = target.replace(/\.js$/, '.ts')
      if (specifier.startsWith('.') && sources.has(source)) edges.push({ to: source, line, specifier })
    }
  }
  return [...violations, ...circles(graph)]
}

function placeRule(file: string): string | undefined {
  if (!file.includes('/')) return 'every source file belongs to a domain: move it into a folder of src/'
  if (floorOf(domainOf(file)) >= 0) return undefined
  return `the folder "${domainOf(file)}" is on no floor: move the file, or place the folder in FLOORS of scripts/check-floors.ts`
}

function importRule(file: string, specifier: string, target: string): string | undefined {
  if (specifier === 'headrace' || specifier.startsWith('headrace/')) {
    return 'the package does not import itself by name: use the relative path of the domain'
  }
  if (!specifier.startsWith('.')) return undefined
  if (target.startsWith('../')) return 'a source file imports nothing outside src/'
  const from = domainOf(file)
  const to = domainOf(target)
  if (from === to) return undefined
  const fromFloor = floorOf(from)
  const toFloor = floorOf(to)
  if (toFloor < 0) return `the folder "${to}" is on no floor`
  if (toFloor > fromFloor) {
    return `an import goes only down: ${from} is on floor ${fromFloor}, ${to} above it on floor ${toFloor}`
  }
  if (toFloor === fromFloor) {
    return `siblings never import each other (${from} and ${to} are both on floor ${toFloor}): meet through an interface declared below, or in app`
  }
  if (target !== `${to}/index.js`) return `another domain is entered only by its index.js: import from ${to}/index.js`
  return undefined
}

/** One violation for each group of files that reach each other, with its shortest way round. */
function circles(graph: ReadonlyMap<string, readonly Edge[]>): Violation[] {
  const seen = new Set<string>()
  const violations: Violation[] = []
  for (const file of [...graph.keys()].sort()) {
    if (seen.has(file)) continue
    const way = wayBack(graph, file)
    if (way === undefined) continue
    for (const edge of way) seen.add(edge.to)
    const { line, specifier } = way[0]!
    const round = [file, ...way.map((edge) => edge.to)].join(' -> ')
    violations.push({ file, line, import: specifier, rule: `files never import each other in a circle: ${round}` })
  }
  return violations
}

/** The shortest chain of imports that starts in `file` and ends there, breadth first. */
function wayBack(graph: ReadonlyMap<string, readonly Edge[]>, file: string): Edge[] | undefined {
  const reachedBy = new Map<string, { readonly from: string; readonly edge: Edge }>()
  const queue = [file]
  for (const from of queue) {
    for (const edge of graph.get(from) ?? []) {
      if (reachedBy.has(edge.to)) continue
      reachedBy.set(edge.to, { from, edge })
      queue.push(edge.to)
    }
    if (reachedBy.has(file)) break
  }
  const way: Edge[] = []
  let step = reachedBy.get(file)
  while (step !== undefined) {
    way.unshift(step.edge)
    if (step.from === file) break
    step = reachedBy.get(step.from)
  }
  return way.length > 0 ? way : undefined
}

function readSources(folder: string): Map<string, string> {
  const sources = new Map<string, string>()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.name.endsWith('.test.ts')) continue
    const path = join(entry.parentPath, entry.name)
    sources.set(path.slice(folder.length + 1).replaceAll('\\', '/'), readFileSync(path, 'utf8'))
  }
  return sources
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const violations = checkFloors(readSources(fileURLToPath(new URL('../src', import.meta.url))))
  for (const { file, line, import: specifier, rule } of violations) {
    console.error(`src/${file}:${line}${specifier === '' ? '' : ` imports '${specifier}'`}: ${rule}`)
  }
  process.exitCode = violations.length > 0 ? 1 : 0
}
