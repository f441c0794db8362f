// Computes the windows of a view. This form keeps every event and computes each answer from them.

import type { CompiledWindowView, WindowFeature } from '../compiled.js'
import type { AggregationSpec, EventRow } from '../definitions/feature.js'
import { durationMs } from '../duration.js'
import { FeatureErrors } from '../errors.js'
import type { Scalar, Value } from '../value.js'
import type { KeyState, WindowEngine, WindowEvent } from './types.js'

/** The engine of a view; made once and kept. */
export function createWindowEngine(view: CompiledWindowView): WindowEngine {
  return {
    create: () => new EventsState(view),
    parse: (bytes) => EventsState.parse(view, bytes),
    merge: (batch, stream, seamMs) => (batch as EventsState).mergedWith(stream as EventsState, seamMs),
  }
}

class EventsState implements KeyState {
  events: WindowEvent[] = []
  ids = new Map<string, number>()
  evictedMs = Number.NEGATIVE_INFINITY
  private readonly retentionMs: number

  constructor(private readonly view: CompiledWindowView) {
    this.retentionMs =
      view.stream === undefined ? view.maxWindowMs + view.hopMs : durationMs(view.stream.lateness ?? '1h', 'lateness')
  }

  add(event: WindowEvent): 'added' | 'duplicate' | 'expired' {
    if (event.id !== undefined) {
      const seenMs = this.ids.get(event.id)
      if (seenMs !== undefined && seenMs >= event.knownMs - this.retentionMs) return 'duplicate'
      this.ids.set(event.id, event.eventMs)
    }
    if (event.eventMs < this.startMs(this.view.maxWindowMs, this.evictedMs)) return 'expired'
    this.events.push(event)
    return 'added'
  }

  read(atMs: number, into: Value[], offset: number): boolean {
    const within = (windowMs: number) => {
      const startMs = this.startMs(windowMs, atMs)
      return this.events.filter(({ eventMs }) => startMs <= eventMs && eventMs < atMs)
    }
    if (within(this.view.maxWindowMs).length === 0) return false
    this.view.features.forEach((feature, index) => {
      const { where } = feature
      const events = within(feature.windowMs).filter((event) => where === undefined || where(this.row(event)))
      into[offset + index] = this.value(feature, events, atMs)
    })
    return true
  }

  evict(atMs: number): boolean {
    this.evictedMs = Math.max(this.evictedMs, atMs)
    const startMs = this.startMs(this.view.maxWindowMs, this.evictedMs)
    this.events = this.events.filter(({ eventMs }) => eventMs >= startMs)
    for (const [id, eventMs] of this.ids) if (eventMs < this.evictedMs - this.retentionMs) this.ids.delete(id)
    return this.events.length === 0 && this.ids.size === 0
  }

  get newestEventMs(): number | undefined {
    return this.events.reduce<number | undefined>(
      (newest, { eventMs }) => Math.max(newest ?? eventMs, eventMs),
      undefined,
    )
  }

  get sizeBytes(): number {
    return 64 + this.events.length * 100
  }

  serialize(): Uint8Array {
    const plain = { events: this.events, ids: [...this.ids], evictedMs: String(this.evictedMs) }
    return Buffer.from(
      JSON.stringify(plain, (_, value: unknown) =>
        typeof value === 'bigint'
          ? { $: String(value) }
          : typeof value === 'number' && !Number.isFinite(value)
            ? { n: String(value) }
            : value,
      ),
    )
  }

  static parse(view: CompiledWindowView, bytes: Uint8Array): EventsState {
    const state = new EventsState(view)
    try {
      const plain = JSON.parse(Buffer.from(bytes).toString(), (_, value) =>
        value?.$ !== undefined ? BigInt(value.$) : value?.n !== undefined ? Number(value.n) : value,
      )
      state.events = plain.events
      state.ids = new Map(plain.ids)
      state.evictedMs = Number(plain.evictedMs)
    } catch (cause) {
      throw FeatureErrors.STATE_CORRUPT({ view: view.table, problem: String(cause) })
    }
    return state
  }

  mergedWith(stream: EventsState, seamMs: number): EventsState {
    const merged = new EventsState(this.view)
    merged.events = [
      ...this.events.filter(({ eventMs }) => eventMs < seamMs),
      ...stream.events.filter(({ eventMs }) => eventMs >= seamMs),
    ]
    merged.ids = new Map([...this.ids, ...stream.ids])
    merged.evict(Math.max(this.evictedMs, stream.evictedMs))
    return merged
  }

  private startMs(windowMs: number, atMs: number): number {
    const { windowing, hopMs } = this.view
    const startMs = atMs - windowMs
    return windowing === 'exact' ? startMs : Math.floor(startMs / hopMs) * hopMs
  }

  private row(event: WindowEvent): EventRow {
    return Object.fromEntries(this.view.columns.map((column, index) => [column, event.values[index] ?? null]))
  }

  private value({ column, spec }: WindowFeature, events: WindowEvent[], atMs: number): Value {
    const at = (name: string) => this.view.columns.indexOf(name)
    if (column === undefined && spec.op !== 'decayedCount') return events.length
    const of = column === undefined ? -1 : at(column)
    const taken = events
      .map((event) => ({ event, value: of < 0 ? 1 : ((event.values[of] ?? null) as Scalar | null) }))
      .filter((item): item is Item => item.value !== null)
      .sort(compareItems)
    if (spec.op === 'currentItems') {
      const latest = new Map<Scalar, { item: Item; quantity: number }>()
      for (const item of taken) {
        const quantity = item.event.values[at(spec.quantity)]
        if (quantity !== null && quantity !== undefined) latest.set(item.value, { item, quantity: Number(quantity) })
      }
      const present = [...latest.values()].filter(({ quantity }) => quantity > 0).map(({ item }) => item)
      return values(present.sort(compareItems).reverse().slice(0, spec.k))
    }
    return computed(spec, taken, atMs)
  }
}

interface Item {
  event: WindowEvent
  value: Scalar
}

const values = (items: Item[]) => items.map(({ value }) => value)

function computed(spec: AggregationSpec, items: Item[], atMs: number): Value {
  const numbers = items.map(({ value }) => Number(value))
  const n = numbers.length
  const total = numbers.reduce((sum, value) => sum + value, 0)
  switch (spec.op) {
    case 'count':
      return n
    case 'sum':
      return n === 0 ? null : total
    case 'mean':
      return n === 0 ? null : total / n
    case 'min':
      return n === 0 ? null : Math.min(...numbers)
    case 'max':
      return n === 0 ? null : Math.max(...numbers)
    case 'variance':
      return n === 0 ? null : numbers.reduce((sum, value) => sum + (value - total / n) ** 2, 0) / n
    case 'first':
      return items[0]?.value ?? null
    case 'last':
      return items.at(-1)?.value ?? null
    case 'lastK':
      return values(items.slice(-spec.k).reverse())
    case 'distinct':
    case 'approxDistinct':
      return new Set(values(items)).size
    case 'topK': {
      const counts = new Map<Scalar, number>()
      for (const { value } of items) counts.set(value, (counts.get(value) ?? 0) + 1)
      return [...counts]
        .sort(([a, ofA], [b, ofB]) => ofB - ofA || (a < b ? -1 : 1))
        .slice(0, spec.k)
        .map(([value]) => value)
    }
    case 'quantile':
      return numbers.sort((a, b) => a - b)[Math.floor(spec.q * (n - 1))] ?? null
    case 'histogram': {
      const counts = new Array<number>(spec.edges.length + 1).fill(0)
      for (const value of numbers) counts[spec.edges.filter((edge) => value >= edge).length]!++
      return counts
    }
    case 'decayedSum':
    case 'decayedCount': {
      const weighed = items.map(
        ({ event, value }) =>
          (spec.op === 'decayedSum' ? Number(value) : 1) * 2 ** ((event.eventMs - atMs) / spec.halfLifeMs),
      )
      return n === 0 && spec.op === 'decayedSum' ? null : weighed.reduce((sum, value) => sum + value, 0)
    }
    case 'currentItems':
      return []
  }
}

function compareItems(a: Item, b: Item): number {
  if (a.event.eventMs !== b.event.eventMs) return a.event.eventMs - b.event.eventMs
  const [idA, idB] = [a.event.id ?? '', b.event.id ?? '']
  if (idA !== idB) return idA < idB ? -1 : 1
  return a.value === b.value ? 0 : a.value < b.value ? -1 : 1
}
