// What may be said of every definition, for the people who read it.

export interface Described {
  readonly description?: string
  /** Who answers for it. */
  readonly owner?: string
  readonly tags?: readonly string[]
}
