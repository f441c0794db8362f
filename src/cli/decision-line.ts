import type { Decision } from '../decisions/index.js'

/** One decision as a line for a person. */
export function decisionLine({ number, id, change, by, undoes }: Decision): string {
  const detail = Object.entries(change.detail)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')
  const what = undoes === null ? change.kind : `undo of ${change.kind}`
  return `Decision ${number} (${id}): ${what} ${change.subject}, ${detail}, by ${by.kind} ${by.name}.`
}
