// Views and a window engine for tests of online stores: the engine counts and sums what happened before a moment, and nothing more.

import type { KeyState, WindowEngine, WindowEvent } from '../../src/features/aggregate/types.js'
import type { CompiledFeature, CompiledRowView, CompiledView, CompiledWindowView } from '../../src/features/compiled.js'
import type { OnlineTable } from '../../src/features/online/types.js'
import type { ValueType } from '../../src/features/value.js'

const common = {
  version: 1,
  keys: [{ name: 'id', type: 'string' }],
  source: undefined,
  stream: undefined,
  columns: [],
  fingerprint: 'f'.repeat(64),
  everyMs: undefined,
  online: true,
  expectations: [],
  definition: undefined as unknown as CompiledView['definition'],
} as const

function feature(name: string, type: ValueType): CompiledFeature {
  return { name, type, fallback: null, description: '', tags: [] }
}

export function rowTable(name: string, types: readonly ValueType[], ttlMs?: number): OnlineTable {
  const view: CompiledRowView = {
    ...common,
    kind: 'rows',
    name,
    table: `${name}@1`,
    features: types.map((type, i) => ({ ...feature(`f${i}`, type), kind: 'column', column: `f${i}` })),
    ttlMs,
  }
  return { view, name: `${name}@1.1` }
}

export function windowTable(name: string, maxWindowMs = 3_600_000): OnlineTable {
  const view: CompiledWindowView = {
    ...common,
    kind: 'windows',
    name,
    table: `${name}@1`,
    features: ['count', 'sum'].map((op) => ({
      ...feature(op, 'float64'),
      kind: 'aggregation',
      column: 'amount',
      spec: { op: op as 'count' | 'sum' },
      windowMs: maxWindowMs,
      where: undefined,
    })),
    windowing: 'exact',
    hopMs: 60_000,
    maxWindowMs,
  }
  return { view, name: `${name}@1.1` }
}

/** The slow obvious engine: it keeps every event. */
export class EventState implements KeyState {
  constructor(
    private readonly windowMs: number,
    private events: readonly { readonly eventMs: number; readonly amount: number }[] = [],
  ) {}

  add({ eventMs, values }: WindowEvent): 'added' {
    this.events = [...this.events, { eventMs, amount: Number(values[0]) }]
    return 'added'
  }

  read(atMs: number, into: (number | null)[], offset: number): boolean {
    const counted = this.events.filter(({ eventMs }) => eventMs >= atMs - this.windowMs && eventMs < atMs)
    if (counted.length === 0) return false
    into[offset] = counted.length
    into[offset + 1] = counted.reduce((sum, { amount }) => sum + amount, 0)
    return true
  }

  evict(atMs: number): boolean {
    this.events = this.events.filter(({ eventMs }) => eventMs >= atMs - this.windowMs)
    return this.events.length === 0
  }

  get newestEventMs(): number | undefined {
    return this.events.length === 0 ? undefined : Math.max(...this.events.map(({ eventMs }) => eventMs))
  }

  get sizeBytes(): number {
    return 16 * this.events.length
  }

  serialize(): Uint8Array {
    return Buffer.from(JSON.stringify(this.events))
  }
}

export function eventEngine({ maxWindowMs }: CompiledWindowView): WindowEngine {
  return {
    create: () => new EventState(maxWindowMs),
    parse: (bytes) => new EventState(maxWindowMs, JSON.parse(Buffer.from(bytes).toString())),
    merge: () => {
      throw new Error('no store merges')
    },
  }
}

export function event(eventMs: number, amount: number): WindowEvent {
  return { eventMs, knownMs: eventMs, id: undefined, values: [amount] }
}
