import { defineProject, version } from 'headrace'

// The shop's fraud model behind an endpoint that answers only when the record survives a power loss.
export default defineProject({
  models: { folder: '../../../examples/shop/models' },
  endpoints: { durable: { route: version('fraud', 1), log: { ack: 'before-reply' } } },
})
