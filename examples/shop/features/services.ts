// What each model is given. A version names its service in model.json.
import { defineFeatureService, select } from 'headrace'
import { productPopularity, userCart, userClicks } from './browsing.js'
import { paymentContext, sessionContext } from './on-demand.js'
import { cardVelocity, merchantRisk } from './payments.js'
import { userProfile, userSpend } from './people.js'

/** By user, card and merchant; the caller adds what only the checkout knows. */
export const fraud = defineFeatureService(
  'fraud',
  [
    select(userProfile, 'country'),
    select(userSpend, 'spend_30d', 'orders_30d'),
    cardVelocity,
    select(merchantRisk, 'chargeback_rate'),
    paymentContext,
  ],
  { owner: 'payments', description: 'Is this payment fraud?', tags: ['model'] },
)

/** By user alone. */
export const purchaseIntent = defineFeatureService(
  'purchase_intent',
  [
    select(
      userClicks,
      'pages_viewed',
      'products_viewed',
      'searches',
      'seconds_on_site',
      'discount_percent',
      'is_mobile',
    ),
    select(userCart, 'items_in_cart', 'cart_value'),
    select(userSpend, 'orders_30d', 'spend_30d'),
    sessionContext,
  ],
  { owner: 'shop', description: 'Will this session end in a purchase?', tags: ['model'] },
)

/** For pages that show people what they looked at and have in the cart. */
export const session = defineFeatureService('session', [select(userClicks, 'last_clicks'), select(userCart, 'cart')], {
  owner: 'shop',
})

export const popularity = defineFeatureService('popularity', [productPopularity], { owner: 'shop' })
