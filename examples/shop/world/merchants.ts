// Merchants sell in the shop. Some attract more fraud: which merchant a payment is for is drawn once it is settled whether the payment
// is fraud, so that no label changes; truth.ts turns the same weights round into what a merchant says about a payment.
import { CATEGORIES, type Category } from './products.js'
import { Random } from './random.js'

export interface Merchant {
  readonly merchant_id: string
  readonly category: Category
  /** Share of the honest payments. */
  readonly share: number
  /** Share of the frauds. */
  readonly fraudShare: number
}

/** How many merchants are like that, and by what factor a payment to one is more often fraud than to others. */
const KINDS = [
  { count: 36, factor: 0.6 },
  { count: 16, factor: 1 },
  { count: 8, factor: 6 },
] as const

export function createMerchants(seed: number): readonly Merchant[] {
  const random = new Random(seed, 'merchants')
  const drawn = KINDS.flatMap(({ count, factor }) =>
    Array.from({ length: count }, () => {
      const size = random.between(0.5, 1.5)
      return { category: CATEGORIES[random.integer(0, CATEGORIES.length - 1)]!, size, frauds: size * factor }
    }),
  )
  const sizes = drawn.reduce((sum, { size }) => sum + size, 0)
  const frauds = drawn.reduce((sum, merchant) => sum + merchant.frauds, 0)
  return drawn
    .map((merchant) => ({ merchant, order: random.uniform() }))
    .sort((a, b) => a.order - b.order)
    .map(({ merchant }, i) => ({
      merchant_id: `mer_${String(i + 1).padStart(3, '0')}`,
      category: merchant.category,
      share: merchant.size / sizes,
      fraudShare: merchant.frauds / frauds,
    }))
}

/** The merchant of a payment. */
export function pickMerchant(merchants: readonly Merchant[], isFraud: boolean, random: Random): Merchant {
  let remaining = random.uniform()
  for (const merchant of merchants) {
    remaining -= isFraud ? merchant.fraudShare : merchant.share
    if (remaining < 0) return merchant
  }
  return merchants[0]!
}
