// The decision that makes requests read another generation of a view. Undone, they read the one before, as long as it is still there.
import { z } from 'zod'
import type { Platform } from '../../core/index.js'
import { type Change, type ChangeKind, DecisionErrors } from '../../decisions/index.js'
import { switchLive } from '../../features/index.js'

const SWITCH = 'features.switch'

const detail = z.strictObject({ table: z.string().min(1) })
const replaced = z.strictObject({ table: z.string() }).nullable()

export function switching(view: string, table: string): Change {
  return { kind: SWITCH, subject: view, detail: { table } }
}

/** Whether a decision, or the undo of one, changed what requests read. */
export function isSwitch({ kind }: Change): boolean {
  return kind === SWITCH
}

export function featureSwitchKind({ clock }: Platform): ChangeKind {
  const leave = (before: string | null) => (before === null ? null : { table: before })
  return {
    kind: SWITCH,
    undoable: true,
    parse: (change) => void read(change),
    apply: async (tx, change) => leave(await switchLive(tx, change.subject, read(change).table, clock.nowMs())),
    async undo(tx, { change, before }) {
      const to = replaced.parse(before)?.table ?? null
      return leave(await switchLive(tx, change.subject, to, clock.nowMs()))
    },
    summary: ({ change }) => `Requests read ${read(change).table} of ${change.subject}.`,
  }
}

function read(change: Change): z.infer<typeof detail> {
  const parsed = detail.safeParse(change.detail)
  if (parsed.success) return parsed.data
  throw DecisionErrors.INVALID({ field: 'detail', reason: z.prettifyError(parsed.error) })
}
