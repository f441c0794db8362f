// The catalogue: what can be bought, and at what price.
import { Random, round } from './random.js'

export interface Product {
  readonly product_id: string
  readonly category: Category
  readonly price: number
}

export type Category = 'books' | 'clothing' | 'electronics' | 'garden' | 'toys'

export const MEDIAN_PRICE: Readonly<Record<Category, number>> = {
  books: 14,
  clothing: 32,
  electronics: 120,
  garden: 40,
  toys: 22,
}

export const CATEGORIES = Object.keys(MEDIAN_PRICE) as readonly Category[]

export function createProducts(seed: number, count: number): readonly Product[] {
  const random = new Random(seed, 'products')
  return Array.from({ length: count }, (_, i) => {
    const category = random.pickWeighted<Category>([
      ['books', 25],
      ['clothing', 30],
      ['electronics', 15],
      ['garden', 10],
      ['toys', 20],
    ])
    const price = round(Math.max(1, random.logNormal(MEDIAN_PRICE[category], 0.5)), 2)
    return { product_id: `prd_${String(i + 1).padStart(5, '0')}`, category, price }
  })
}

/** What a basket of so many items costs. Early products are the popular ones. */
export function basketValue(products: readonly Product[], items: number, random: Random): number {
  let value = 0
  for (let i = 0; i < items; i++) value += products[Math.floor(random.uniform() ** 2 * products.length)]?.price ?? 0
  return value
}
