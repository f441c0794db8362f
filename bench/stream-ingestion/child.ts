// One subject in a process of its own: prints its figures as JSON.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createPlatform, type Random, seededRandom, systemClock } from '../../src/core/index.js'
import { createWindowEngine } from '../../src/features/aggregate/engine.js'
import type { KeyState, WindowEvent } from '../../src/features/aggregate/types.js'
import { bruteForce } from '../../src/features/aggregate/window-oracle.js'
import { createEventCheck } from '../../src/features/stream/check-event.js'
import { keyOf } from '../../src/features/stream/feed.js'
import type { StreamEvent } from '../../src/features/stream/types.js'
import type { Value } from '../../src/features/value.js'
import { openFlow } from '../../test/support/feature-flow.js'
import { definitions, type Line, paymentLines, payments, view } from './world.js'

const [subject = '', events = '', keys = ''] = process.argv.slice(2)
const SPAN_MS = 6 * 3_600_000
const SLICE = 500
/** As ingestion does it: a request's moment may be a little before its read. */
const READ_SLACK_MS = 60_000
const READS = 100_000
/** Pushes under way at once. */
const CLIENTS = 4

const lines = paymentLines(Number(events), Number(keys), SPAN_MS)
const check = createEventCheck(payments)
const engine = createWindowEngine(view)
const endMs = lines.at(-1)!.knownMs + 1
const parsed = ({ text, knownMs }: Line): StreamEvent => check.check({ row: JSON.parse(text), knownMs })
const windowEvent = ({ eventMs, knownMs, id, row }: StreamEvent): WindowEvent => ({
  eventMs,
  knownMs,
  id,
  values: view.columns.map((column) => row[column] ?? null),
})

compareWithBruteForce()
// A first part warms the compiler up; its work is thrown away.
await run(lines.slice(0, 20_000))
const heapBefore = heapBytes()
const cpuBefore = cpuSeconds()
const states = await run(lines)
const seconds = cpuSeconds() - cpuBefore
const rates = { eventsPerSecond: lines.length / seconds, cpuUsPerEvent: (seconds * 1e6) / lines.length }
console.log(JSON.stringify({ rates, ...(states !== undefined && { windows: windowFigures(states) }) }))
process.exit(0)

async function run(some: readonly Line[]): Promise<Map<string, KeyState> | undefined> {
  switch (subject) {
    case 'JSON.parse':
      for (const { text } of some) JSON.parse(text)
      return undefined
    case 'checked':
      for (const line of some) keyOf(view, parsed(line))
      return undefined
    case 'windows':
      return windows(some)
    default:
      await ingested(some)
      return undefined
  }
}

function windows(some: readonly Line[]): Map<string, KeyState> {
  const states = new Map<string, KeyState>()
  for (let from = 0; from < some.length; from += SLICE) {
    const touched = new Set<KeyState>()
    for (let i = from; i < Math.min(from + SLICE, some.length); i++) {
      const event = parsed(some[i]!)
      const key = keyOf(view, event)!
      let state = states.get(key)
      if (state === undefined) {
        state = engine.create()
        states.set(key, state)
      }
      state.add(windowEvent(event))
      touched.add(state)
    }
    for (const state of touched) state.evict(some[from]!.knownMs - READ_SLACK_MS)
  }
  return states
}

/** Pushes of 500 to 1,000 events: into the event log and the memory store, on disk, until all of it is there. */
async function ingested(some: readonly Line[]): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'stream-ingestion-'))
  const random = seededRandom(11)
  let nowMs = some[0]!.knownMs
  const platform = { ...createPlatform(), clock: { ...systemClock, nowMs: () => nowMs } }
  const flow = await openFlow({ folder, definitions, platform })
  await flow.openAll()
  await flow.ingestor.start()
  let from = 0
  let duplicates = 0
  const client = async () => {
    while (from < some.length) {
      const batch = some.slice(from, from + 500 + (random.uint32() % 501))
      from += batch.length
      nowMs = batch[0]!.knownMs
      const events = batch.map(({ text, knownMs }) => ({ row: JSON.parse(text), knownMs }))
      const report = await flow.ingestor.push('payments', events)
      duplicates += report.duplicates
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  await flow.close()
  rmSync(folder, { recursive: true })
  const sentTwice = some.length - new Set(some.map(({ text }) => text)).size
  if (duplicates !== sentTwice) throw new Error(`${duplicates} of ${sentTwice} events that were sent twice were found`)
}

function windowFigures(states: ReadonlyMap<string, KeyState>): Record<string, number> {
  const bytesPerKey = (heapBytes() - heapBefore) / states.size
  const all = [...states.values()]
  const storedBytes = all.reduce((sum, state) => sum + state.serialize().length, 0)
  return {
    readsPerSecond: readsPerSecond(all, seededRandom(9)),
    bytesPerKey,
    storedBytesPerKey: storedBytes / all.length,
    eventsPerKey: lines.length / states.size,
  }
}

function readsPerSecond(states: readonly KeyState[], random: Random): number {
  const into: Value[] = []
  const read = (reads: number) => {
    for (let i = 0; i < reads; i++) states[random.uint32() % states.length]!.read(endMs, into, 0)
  }
  read(READS / 10)
  const before = cpuSeconds()
  read(READS)
  return READS / (cpuSeconds() - before)
}

function compareWithBruteForce(): void {
  const few = paymentLines(2000, 5, SPAN_MS)
  const parsedEvents = few.map(parsed)
  for (const [key, state] of windows(few)) {
    const into: Value[] = []
    state.read(endMs, into, 0)
    const own = parsedEvents.filter((event) => keyOf(view, event) === key)
    const right = bruteForce(view, own.map(windowEvent), endMs)
    if (JSON.stringify(into) !== JSON.stringify(right)) throw new Error(`${key}: ${into}, not ${right}`)
  }
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
