// What a route asks about the world on behalf of one endpoint: circuits, expected times, the retry budget and places for shadows.
import type { Clock, EndpointName } from '../core/index.js'
import { RetryBudget } from '../flow/index.js'
import type { RouteHealth, VersionLeaf } from '../route/index.js'
import type { Versions } from './endpoint.js'
import type { Health, VersionHealth } from './health.js'
import type { RouteMetrics } from './route-metrics.js'

export interface EndpointHealthOptions {
  readonly clock: Clock
  readonly endpoint: EndpointName
  readonly versions: Versions
  readonly health: Health
  readonly metrics: RouteMetrics
}

export class EndpointHealth implements RouteHealth {
  readonly budget: RetryBudget
  readonly #options: EndpointHealthOptions
  readonly #shadows = new Map<string, number>()

  constructor(options: EndpointHealthOptions) {
    this.#options = options
    this.budget = new RetryBudget({ clock: options.clock })
  }

  admits(leaf: VersionLeaf): boolean {
    // A version that is not there says so itself, with a better reason.
    return this.#healthOf(leaf)?.admits() ?? true
  }

  expectedMs(leaf: VersionLeaf, rows: number): number | undefined {
    return this.#healthOf(leaf)?.expectedMs(rows)
  }

  takeRetry(): boolean {
    const isTaken = this.budget.take()
    this.#options.metrics.retry(this.#options.endpoint, isTaken)
    return isTaken
  }

  takeShadow(node: string, maxInFlight: number): boolean {
    const inFlight = this.#shadows.get(node) ?? 0
    if (inFlight >= maxInFlight) {
      this.#options.metrics.shadow(this.#options.endpoint, node, 'skipped')
      return false
    }
    this.#shadows.set(node, inFlight + 1)
    return true
  }

  endShadow(node: string): void {
    const inFlight = this.#shadows.get(node) ?? 0
    if (inFlight > 1) this.#shadows.set(node, inFlight - 1)
    else this.#shadows.delete(node)
  }

  #healthOf(leaf: VersionLeaf): VersionHealth | undefined {
    try {
      return this.#options.health.of(this.#options.versions.resolve(leaf))
    } catch {
      return undefined
    }
  }
}
