// People who pay, most of them once and a few all day: without end, and each waits for an answer before paying again. What the
// server answers is counted here, so the demo's claims rest on what its users saw.
import { createClient, type HeadraceClientError } from 'headrace/client'
import { Random } from '../../world/random.js'
import type { World } from '../../world/world.js'

export interface CustomersOptions {
  readonly url: string
  readonly world: World
  /** How many pay at the same time. */
  readonly atOnce: number
}

const CUSTOMERS = 20_000
/** Between two payments at one till. */
const PAUSE_MS = 20
const PATIENCE_MS = 3_000

/** What was answered since the last `restart`. */
export class Answers {
  readonly byVersion = new Map<number, number>()
  /** Customers who were answered by a version, or not at all (0). */
  readonly #customers = new Map<number, Set<number>>()
  readonly problems = new Map<string, number>()
  failed = 0
  firstFailedMs: number | undefined
  /** Wall clock of the last answer of each version; of a payment that failed, under 0. */
  readonly lastMs = new Map<number, number>()
  /** Customers who had the later version and were given the earlier one again. */
  readonly movedBack = new Set<number>()

  constructor(readonly candidate: number) {}

  get asked(): number {
    return this.failed + [...this.byVersion.values()].reduce((sum, count) => sum + count, 0)
  }

  customersOf(version: number): number {
    return this.#customers.get(version)?.size ?? 0
  }

  answered(customer: number, version: number, isLeaseExpired: boolean): void {
    this.byVersion.set(version, (this.byVersion.get(version) ?? 0) + 1)
    this.#saw(customer, version)
    if (version !== this.candidate && !isLeaseExpired && this.#customers.get(this.candidate)?.has(customer))
      this.movedBack.add(customer)
  }

  /** Nobody answered. */
  refused(customer: number, problem: string): void {
    this.failed++
    this.firstFailedMs ??= Date.now()
    this.problems.set(problem, (this.problems.get(problem) ?? 0) + 1)
    this.#saw(customer, 0)
  }

  #saw(customer: number, version: number): void {
    const customers = this.#customers.get(version) ?? new Set()
    this.#customers.set(version, customers.add(customer))
    this.lastMs.set(version, Date.now())
  }
}

export interface Customers {
  readonly answers: Answers
  /** Counts from nothing, for the release of `candidate`. */
  restart(candidate: number): Answers
  stop(): Promise<void>
}

export function startCustomers({ url, world, atOnce }: CustomersOptions): Customers {
  const { payments } = world
  // What fails is to be seen, so nothing is tried again.
  const client = createClient({ baseUrl: url, timeoutMs: PATIENCE_MS, retries: 0 })
  const paying = new Set<number>()
  let answers = new Answers(0)
  let isStopped = false

  async function till(number: number): Promise<void> {
    const random = new Random(number, 'release demo')
    while (!isStopped) {
      const customer = Math.floor(CUSTOMERS * random.uniform() ** 2)
      if (!paying.has(customer)) {
        paying.add(customer)
        await pay(customer, random)
        paying.delete(customer)
      }
      await new Promise((resolve) => setTimeout(resolve, random.exponential(PAUSE_MS)))
    }
  }

  async function pay(customer: number, random: Random): Promise<void> {
    // A customer is of one country, and buys something else each time.
    const { features } = payments[customer % payments.length]!
    const payment = { ...features, amount: features.amount * random.between(0.5, 1.5) }
    const counted = answers
    await client.predict('fraud', payment, { unit: `customer-${customer}` }).then(
      ({ version, flags }) => counted.answered(customer, version, flags.includes('lease-expired')),
      (error: HeadraceClientError) => counted.refused(customer, `${error.code}: ${error.message}`),
    )
  }

  const tills = Array.from({ length: atOnce }, (_, number) => till(number))
  return {
    get answers() {
      return answers
    },
    restart(candidate) {
      answers = new Answers(candidate)
      return answers
    },
    async stop() {
      isStopped = true
      await Promise.all(tills)
    },
  }
}
