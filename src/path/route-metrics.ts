// What routes count, bound once per series: choices are made once per tree, so a choice itself finds its counter.
import type { Counter, Family, Metrics } from '../core/index.js'
import type { RouteChoice } from '../route/index.js'

export type ShadowResult = 'ok' | 'error' | 'skipped'

export class RouteMetrics {
  readonly #choices: Family<Counter>
  readonly #fallbacks: Family<Counter>
  readonly #retries: Family<Counter>
  readonly #shadows: Family<Counter>
  readonly #cost: Family<Counter>
  readonly #costSaved: Family<Counter>
  readonly #chosen = new WeakMap<RouteChoice, Counter>()
  readonly #fellBack = new WeakMap<RouteChoice, Counter>()

  constructor(metrics: Metrics) {
    this.#choices = metrics.counter({
      name: 'ml_route_choices_total',
      help: 'Arms chosen by the nodes of routes.',
      labels: ['endpoint', 'node', 'arm'],
    })
    this.#fallbacks = metrics.counter({
      name: 'ml_fallbacks_total',
      help: 'Replies that were a second best, by the node that fell back and the arm that answered.',
      labels: ['endpoint', 'node', 'arm'],
    })
    this.#retries = metrics.counter({
      name: 'ml_retries_total',
      help: 'Retries and hedges that routes asked for: taken, or refused because the budget was spent.',
      labels: ['endpoint', 'result'],
    })
    this.#shadows = metrics.counter({
      name: 'ml_shadow_calls_total',
      help: 'Copies for shadows: calls that ended well or not, and copies skipped because too many were under way.',
      labels: ['endpoint', 'node', 'result'],
    })
    this.#cost = metrics.counter({
      name: 'ml_route_cost_total',
      help: 'Cost of the calls that ran, where versions state one.',
      labels: ['endpoint'],
    })
    this.#costSaved = metrics.counter({
      name: 'ml_route_cost_saved_total',
      help: 'Cost of the dearest arm that a cascade did not have to run.',
      labels: ['endpoint', 'node'],
    })
  }

  choices(endpoint: string, choices: readonly RouteChoice[]): void {
    for (let i = 0; i < choices.length; i++) {
      const choice = choices[i]!
      let counter = this.#chosen.get(choice)
      if (!counter) {
        counter = this.#choices.with(endpoint, choice.node, choice.arm)
        this.#chosen.set(choice, counter)
      }
      counter.inc()
    }
  }

  fallback(endpoint: string, choice: RouteChoice): void {
    let counter = this.#fellBack.get(choice)
    if (!counter) {
      counter = this.#fallbacks.with(endpoint, choice.node, choice.arm)
      this.#fellBack.set(choice, counter)
    }
    counter.inc()
  }

  retry(endpoint: string, isTaken: boolean): void {
    this.#retries.with(endpoint, isTaken ? 'taken' : 'refused').inc()
  }

  shadow(endpoint: string, node: string, result: ShadowResult): void {
    this.#shadows.with(endpoint, node, result).inc()
  }

  cost(endpoint: string, cost: number): void {
    this.#cost.with(endpoint).inc(cost)
  }

  costSaved(endpoint: string, node: string, cost: number): void {
    this.#costSaved.with(endpoint, node).inc(cost)
  }
}
