// The metrics of all processes as one. What a process that ended had counted stays in the sum, as it was last seen, because
// counters of a server must not fall.
import { type Counter, type Gauge, type Metrics, type MetricsSnapshot, sumMetrics } from '../../core/index.js'

export class GroupMetrics {
  readonly #processes: Gauge
  readonly #restarts: Counter
  readonly #latest = new Map<object, MetricsSnapshot>()
  #departed: Promise<MetricsSnapshot> = Promise.resolve([])

  constructor(private readonly own: Metrics) {
    this.#processes = own
      .gauge({ name: 'headrace_processes', help: 'Worker processes that accept connections.' })
      .with()
    this.#restarts = own
      .counter({
        name: 'headrace_worker_restarts_total',
        help: 'Worker processes started in the place of one that ended or was asked to.',
      })
      .with()
  }

  restarted(): void {
    this.#restarts.inc()
  }

  saw(process: object, snapshot: MetricsSnapshot): void {
    this.#latest.set(process, snapshot)
  }

  forget(process: object): void {
    const counts = this.#latest.get(process)?.filter(({ type }) => type === 'counter' || type === 'histogram')
    this.#latest.delete(process)
    if (counts) this.#departed = this.#departed.then(async (earlier) => (await sumMetrics([earlier, counts])).snapshot)
  }

  async expose(processes: number): Promise<string> {
    this.#processes.set(processes)
    const departed = await this.#departed
    return (await sumMetrics([await this.own.snapshot(), ...this.#latest.values(), departed])).text
  }
}
