// The shop: what its server does. `headrace serve examples/shop` reads this file; no build step is needed.
import { defineProject, version } from 'headrace'

export default defineProject({
  name: 'shop',

  // models/<model>/<version>/model.onnx. A version that is copied in while the server runs is served once it is complete.
  models: { folder: './models' },

  // Every model has an endpoint of its own name, so purchase-intent and breast-cancer need nothing here. Declare one to
  // say which version answers, how long a caller waits at most, and what the log keeps.
  endpoints: {
    fraud: {
      // The newest version that is ready. A number pins one: version('fraud', 1). An alias moves by decision:
      // version('fraud', { alias: 'champion' }), and then: headrace models alias fraud champion 2
      route: version('fraud', 'latest'),

      // The checkout waits for this answer: past it the caller gets 504 and goes on without.
      deadlineMs: 500,

      log: {
        // That a payment was scored is always kept. What went in and came out too; with 0.1, for one payment in ten,
        // whose records then carry the weight 10.
        payloadSample: 1,
        // Written as null, and never on the disk.
        redact: ['card_age_days', 'account_age_days'],
        // Payloads go after a month. What is left of a prediction, without any feature, stays for a year.
        payloadRetentionDays: 30,
        retentionDays: 365,
      },
    },
  },
})
