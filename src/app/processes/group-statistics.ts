// The statistics of all processes as one server's. What a process that ended had counted stays in the sum, as it was last seen.
import { sumStatistics } from '../repository/sum-statistics.js'
import type { ModelStatistics } from '../repository/types.js'

export class GroupStatistics {
  readonly #latest = new Map<object, readonly ModelStatistics[]>()
  #departed: readonly ModelStatistics[] = []

  saw(process: object, statistics: readonly ModelStatistics[]): void {
    this.#latest.set(process, statistics)
  }

  forget(process: object): void {
    const counts = this.#latest.get(process)
    this.#latest.delete(process)
    // Its memory went with it.
    if (counts)
      this.#departed = sumStatistics([this.#departed, counts.map((count) => ({ ...count, memory_usage: [] }))])
  }

  sum(): ModelStatistics[] {
    return sumStatistics([...this.#latest.values(), this.#departed])
  }
}
