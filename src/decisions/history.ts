// What may be undone. The decisions of one kind about one subject move it from state to state; one may be undone while the
// subject is in the state it led to. So decisions are undone last first, undone ones stand in nobody's way, and undoing an
// undo does the change again, as in an editor.

export interface Step {
  readonly number: number
  readonly id: string
  readonly undoes: string | null
}

/**
 * The last step that moved the subject away from where step `id` had led it, or undefined when it is still there.
 * `steps` are all of one kind and subject, oldest first.
 */
export function supersededBy(steps: readonly Step[], id: string): Step | undefined {
  // A state is named by the number of the step that first reached it; 0 is how it was before any.
  const states = new Map<string, { before: number; after: number }>()
  let now = 0
  for (const step of steps) {
    const undone = step.undoes === null ? undefined : states.get(step.undoes)
    const after = undone ? undone.before : step.number
    states.set(step.id, { before: now, after })
    now = after
  }
  return states.get(id)?.after === now ? undefined : steps.at(-1)
}
