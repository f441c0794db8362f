// Waiting for every worker to have come so far.

/** Resolves when each of as many as asked for has come, or rejects when one fails. */
export class Gathering {
  readonly #come = new Set<number>()
  #wanted = Number.POSITIVE_INFINITY
  #error: unknown
  #settle: { resolve(): void; reject(error: unknown): void } | undefined

  all(wanted: number): Promise<void> {
    this.#wanted = wanted
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#check()
    })
  }

  one(number: number): void {
    this.#come.add(number)
    this.#check()
  }

  fail(error: unknown): void {
    this.#error ??= error
    this.#check()
  }

  #check(): void {
    if (this.#error !== undefined) this.#settle?.reject(this.#error)
    else if (this.#come.size >= this.#wanted) this.#settle?.resolve()
  }
}
