// The people in the shop: each pays, browses and pays again, and waits for every answer. Their payments and pages are drawn from
// the world, so no data has to be generated first.
import { createClient } from 'headrace/client'
import { Random } from '../world/random.js'
import { createWorld } from '../world/world.js'
import { FAILED, type Outcome } from './tally.js'

export interface UsersOptions {
  readonly url: string
  readonly users: number
  readonly report: (outcome: Outcome) => void
}

/** Between two clicks of a user. */
const THINK_MS = 25
/** What a page or a checkout waits for an answer, retries included; after it the user counts as not answered. */
const PATIENCE_MS = 2_000
const PAGE_SIZE = 16
const JSON_BODY = { 'content-type': 'application/json' }

export const ENDPOINTS = ['fraud', 'fraud-screen', 'product-ranking'] as const

/** Starts users; `stop` lets each finish what it waits for. */
export function startUsers({ url, users, report }: UsersOptions): { stop(): Promise<void> } {
  const world = createWorld({ seed: 11, shoppers: 500, sessions: 1, payments: 2_000, pages: 60 })
  const client = createClient({ baseUrl: url, timeoutMs: PATIENCE_MS, retries: 3 })
  const pages = Array.from({ length: world.impressions.length / PAGE_SIZE }, (_, page) =>
    world.impressions.slice(page * PAGE_SIZE, (page + 1) * PAGE_SIZE).map(({ features }) => Object.values(features)),
  )
  let isStopped = false

  async function live(user: number): Promise<void> {
    const random = new Random(user, 'demo')
    while (!isStopped) {
      const click = random.uniform()
      const unit = `shopper-${user}`
      if (click < 0.4) await ask('fraud', () => payment('fraud', random, unit))
      else if (click < 0.7) await ask('fraud-screen', () => payment('fraud-screen', random, unit))
      // A few pages are opened by everyone, most by hardly anyone.
      else await ask('product-ranking', () => ranking(pages[Math.floor(random.uniform() ** 3 * pages.length)]!))
      await new Promise((resolve) => setTimeout(resolve, random.exponential(THINK_MS)))
    }
  }

  async function ask(endpoint: string, answer: () => Promise<string>): Promise<void> {
    const startMs = performance.now()
    const ended = await answer().then(
      (by) => ({ by }),
      (error: Error) => ({ by: FAILED, problem: error.message }),
    )
    report({ endpoint, ...ended, latencyMs: performance.now() - startMs })
  }

  async function payment(endpoint: string, random: Random, unit: string): Promise<string> {
    const { features } = world.payments[random.integer(0, world.payments.length - 1)]!
    const { model, version, flags } = await client.predict(endpoint, { ...features }, { unit })
    return nameOf(model, version, flags)
  }

  /** A ranking is one prediction with items: the Open Inference Protocol sends them as rows of one tensor. */
  async function ranking(items: readonly (readonly number[])[]): Promise<string> {
    const tensor = { name: 'features', datatype: 'FP32', shape: [items.length, items[0]!.length], data: items.flat() }
    const response = await insist(`${url}/v2/models/product-ranking/infer`, JSON.stringify({ inputs: [tensor] }))
    const { model_name: model, model_version: version } = (await response.json()) as Record<string, string>
    return nameOf(model ?? '', Number(version), (response.headers.get('headrace-flags') ?? '').split(/, */))
  }

  const lives = Array.from({ length: users }, (_, user) => live(user))
  return {
    async stop() {
      isStopped = true
      await Promise.all(lives)
    },
  }
}

/** Posts until somebody answers, as the client does: a killed process takes its connections along. */
async function insist(url: string, body: string): Promise<Response> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  for (;;) {
    const response = await fetch(url, { method: 'POST', headers: JSON_BODY, body, signal }).catch((error: unknown) => {
      if (signal.aborted) throw error
      return undefined
    })
    if (response?.ok) return response
    if (response && response.status !== 429 && response.status !== 503)
      throw new Error(`${response.status}: ${await response.text()}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function nameOf(model: string, version: number, flags: readonly string[]): string {
  if (flags.includes('stale')) return 'stale'
  if (model === 'fraud-rule') return 'rule'
  if (flags.includes('cached')) return 'cached'
  // A constant is no version.
  if (version === 0) return 'as listed'
  return flags.includes('fallback') ? `v${version} instead` : `v${version}`
}
