// One run per key, many waiters. The run ends for all of them together; use it where nobody has a deadline of their own.

export class SingleFlight<K, T> {
  readonly #running = new Map<K, Promise<T>>()

  get size(): number {
    return this.#running.size
  }

  get(key: K): Promise<T> | undefined {
    return this.#running.get(key)
  }

  /** The promise of the run under way for `key`, or of the one this starts. */
  run(key: K, start: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running !== undefined) return running
    const started = start().finally(() => this.#running.delete(key))
    this.#running.set(key, started)
    return started
  }
}
