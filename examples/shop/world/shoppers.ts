// The people: where they live, since when they have an account, and how they tend to shop.
import { WORLD_DAYS } from './calendar.js'
import { Random, round } from './random.js'

export interface Shopper {
  readonly shopper_id: string
  readonly country: Country
  /** Day of the world on which the account was made; negative when it is older than the world. */
  readonly joined_day: number
  /** 0 to 1: how much a discount moves this person. */
  readonly thrift: number
  readonly prefers_mobile: 0 | 1
}

/** The shop is in Germany; the rest of its customers are abroad. */
export type Country = 'DE' | 'AT' | 'CH' | 'NL' | 'FR' | 'PL' | 'IT' | 'ES' | 'GB' | 'US'

const WEIGHT_OF_COUNTRY = [
  ['DE', 40],
  ['AT', 10],
  ['CH', 8],
  ['NL', 8],
  ['FR', 9],
  ['PL', 6],
  ['IT', 5],
  ['ES', 4],
  ['GB', 5],
  ['US', 5],
] as const satisfies readonly (readonly [Country, number])[]

/** Share of shoppers whose account is made while the world runs. */
const NEWCOMERS = 0.2

export function createShoppers(seed: number, count: number): readonly Shopper[] {
  const random = new Random(seed, 'shoppers')
  return Array.from({ length: count }, (_, i) => ({
    shopper_id: `shp_${String(i + 1).padStart(5, '0')}`,
    country: random.pickWeighted<Country>(WEIGHT_OF_COUNTRY),
    joined_day: round(random.chance(NEWCOMERS) ? random.between(0, WORLD_DAYS - 1) : -random.exponential(500), 2),
    thrift: round(random.uniform(), 2),
    prefers_mobile: random.chance(0.6) ? 1 : 0,
  }))
}
