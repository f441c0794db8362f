// Features that are computed when they are asked for, from others and from what the caller says.
import { defineOnDemandView } from 'headrace'
import { userCart, userClicks } from './browsing.js'
import { cardProfile, userProfile, userSpend } from './people.js'

const DAY_MS = 86_400_000

export const paymentContext = defineOnDemandView('payment_context', {
  views: [userProfile, cardProfile, userSpend],
  request: { amount: 'float64' },
  features: {
    account_age_days: { type: 'float64', default: 0 },
    card_age_days: { type: 'float64', default: 0 },
    hour: { type: 'float64', default: 12, description: '0 to 23, in the time of the shop' },
    amount_ratio: {
      type: 'float64',
      default: 1,
      description: 'The amount over what an order of this user usually costs; 1 where nobody knows',
    },
  },
  owner: 'payments',
  transform: ({ request, atMs, user_profile, card_profile, user_spend }) => ({
    account_age_days: user_profile.joined_at === null ? 0 : (atMs - user_profile.joined_at) / DAY_MS,
    card_age_days: card_profile.first_seen_at === null ? 0 : (atMs - card_profile.first_seen_at) / DAY_MS,
    hour: hourOf(atMs),
    amount_ratio: user_spend.mean_order_30d ? (request.amount ?? 0) / user_spend.mean_order_30d : 1,
  }),
})

export const sessionContext = defineOnDemandView('session_context', {
  views: [userProfile, userClicks, userCart],
  request: {},
  features: {
    hour: { type: 'float64', default: 12, description: '0 to 23, in the time of the shop' },
    is_returning: { type: 'float64', default: 0, description: '1: they have an account' },
    seconds_a_page: { type: 'float64', default: 0 },
    clicked_in_cart: {
      type: 'float64',
      default: 0,
      description: 'How many of the last five products that they looked at are in the cart',
    },
  },
  owner: 'shop',
  transform: ({ atMs, user_profile, user_clicks, user_cart }) => ({
    hour: hourOf(atMs),
    is_returning: user_profile.joined_at === null ? 0 : 1,
    seconds_a_page: Number(user_clicks.seconds_on_site ?? 0) / Math.max(1, Number(user_clicks.pages_viewed ?? 0)),
    clicked_in_cart: (user_clicks.last_clicks ?? []).filter((id) => user_cart.cart?.includes(id)).length,
  }),
})

/** The shop's clock, like its data, is UTC. */
function hourOf(atMs: number): number {
  return Math.floor(atMs / 3_600_000) % 24
}
