// What the shop's features are about.
import { defineEntity } from 'headrace'

export const user = defineEntity('user', {
  keys: { user_id: 'string' },
  owner: 'shop',
  description: 'Somebody with an account',
})

export const card = defineEntity('card', {
  keys: { card_id: 'string' },
  owner: 'payments',
  description: 'A card, wallet, bank account or voucher: whatever pays',
})

export const merchant = defineEntity('merchant', {
  keys: { merchant_id: 'string' },
  owner: 'payments',
  description: 'Who sells in the shop',
})

export const product = defineEntity('product', { keys: { product_id: 'string' }, owner: 'shop' })
