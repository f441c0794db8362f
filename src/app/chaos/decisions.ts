// Faults are decisions: on record with their author, and known in every process because decisions are. They change nothing that is
// stored, so there is nothing to undo; healing is a decision of its own.
import { z } from 'zod'
import type { Change, ChangeKind } from '../../decisions/index.js'
import { ChaosErrors } from './errors.js'
import type { Fault } from './faults.js'

export const INJECT = 'chaos.inject'
export const HEAL = 'chaos.heal'
/** Instead of an id: every fault. */
export const ALL = '*'

const of = { model: z.string(), version: z.number().nullable() }
const fault = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('delay'), ...of, ms: z.number().positive() }),
  z.strictObject({ kind: z.literal('error'), ...of, rate: z.number().positive().max(1) }),
  z.strictObject({ kind: z.literal('hang'), ...of }),
  z.strictObject({
    kind: z.literal('kill'),
    what: z.enum(['thread', 'worker']),
    model: z.string().nullable(),
    version: z.number().nullable(),
    pid: z.number(),
  }),
  z.strictObject({ kind: z.literal('redis'), mode: z.enum(['drop', 'slow']), ms: z.number().min(0) }),
  z.strictObject({ kind: z.literal('disk-full') }),
  z.strictObject({ kind: z.literal('clock-skew'), clock: z.enum(['wall', 'monotonic']), ms: z.number() }),
])

export function injection(what: Fault, durationMs: number): Change {
  return { kind: INJECT, subject: `chaos/${what.kind}`, detail: { ...what, durationMs } }
}

export function healing(id: string): Change {
  return { kind: HEAL, subject: `chaos/${id}`, detail: { id } }
}

/** Throws CHAOS_CHANGE_INVALID. */
export function readInjection({ detail }: Change): { readonly fault: Fault; readonly durationMs: number } {
  const { durationMs, ...rest } = detail
  const parsed = fault.safeParse(rest)
  if (!parsed.success) throw ChaosErrors.CHANGE_INVALID({ problem: z.prettifyError(parsed.error) })
  if (typeof durationMs !== 'number') throw ChaosErrors.CHANGE_INVALID({ problem: 'durationMs is missing' })
  return { fault: parsed.data, durationMs }
}

export const chaosChangeKinds: readonly ChangeKind[] = [
  {
    kind: INJECT,
    undoable: false,
    parse: (change) => void readInjection(change),
    apply: async () => null,
    undo: async () => null,
    summary({ change }) {
      const { fault, durationMs } = readInjection(change)
      return `Injected the fault ${describeFault(fault)}, for ${durationMs} ms.`
    },
  },
  {
    kind: HEAL,
    undoable: false,
    parse({ detail }) {
      if (typeof detail['id'] !== 'string') throw ChaosErrors.CHANGE_INVALID({ problem: 'id is missing' })
    },
    apply: async () => null,
    undo: async () => null,
    summary: ({ change }) =>
      change.detail['id'] === ALL ? 'Healed every fault.' : `Healed the fault ${change.detail['id']}.`,
  },
]

/** `delay fraud/2 by 300 ms`. */
export function describeFault(what: Fault): string {
  switch (what.kind) {
    case 'delay':
      return `delay ${target(what)} by ${what.ms} ms`
    case 'error':
      return `error in ${what.rate * 100} % of the runs of ${target(what)}`
    case 'hang':
      return `hang ${target(what)}`
    case 'kill':
      return what.what === 'worker'
        ? `kill worker process ${what.pid}`
        : `kill the thread or process of ${target(what)}`
    case 'redis':
      return what.mode === 'drop' ? 'redis drop' : `redis slow by ${what.ms} ms`
    case 'disk-full':
      return 'disk-full'
    case 'clock-skew':
      return `clock-skew of the ${what.clock} clock by ${what.ms} ms`
  }
}

function target({ model, version }: { readonly model: string | null; readonly version: number | null }): string {
  return version === null ? String(model) : `${model}/${version}`
}
