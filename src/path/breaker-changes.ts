// The decisions that circuits make: a safety action has happened already when it is written down, and time takes it back.
import { z } from 'zod'
import type { VersionRef } from '../core/index.js'
import { versionKey } from '../core/index.js'
import { type Change, type ChangeKind, DecisionErrors } from '../decisions/index.js'

const OPEN = 'breaker.open'
const CLOSE = 'breaker.close'

const detail = z.strictObject({ model: z.string(), version: z.int().positive() })

export function breakerChange({ model, version }: VersionRef, isOpen: boolean): Change {
  return { kind: isOpen ? OPEN : CLOSE, subject: versionKey({ model, version }), detail: { model, version } }
}

function read(change: Change): z.infer<typeof detail> {
  const parsed = detail.safeParse(change.detail)
  if (parsed.success) return parsed.data
  throw DecisionErrors.INVALID({ field: 'detail', reason: z.prettifyError(parsed.error) })
}

function kindOf(kind: string, say: (version: string) => string): ChangeKind {
  return {
    kind,
    undoable: false,
    parse: (change) => void read(change),
    apply: async () => null,
    undo: async () => null,
    summary({ change }) {
      const { model, version } = read(change)
      return say(`version ${version} of ${model}`)
    },
  }
}

export const breakerChangeKinds: readonly ChangeKind[] = [
  kindOf(OPEN, (version) => `Opened the circuit of ${version}: too many of its calls failed or were slow.`),
  kindOf(CLOSE, (version) => `Closed the circuit of ${version}: a probe was answered well.`),
]
