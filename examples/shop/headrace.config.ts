// The shop: what its server does. `headrace serve examples/shop` reads this file; no build step is needed.
import { cascade, constant, defineProject, fallback, lastKnown, version } from 'headrace'

export default defineProject({
  name: 'shop',

  // models/<model>/<version>/model.onnx, or model.ts for a script. A version that is copied in while the server runs is served
  // once it is complete.
  models: { folder: './models' },

  serving: {
    pool: {
      // Two hundred models say how much of each kind of product will be sold. They are loaded when somebody asks for them
      // ("load": "lazy" in their model.json), and forty fit: each counts half a megabyte, the least that a model does. The one that
      // was asked for longest ago makes room. A model belongs to the first reservation that names it, so they take nothing from the rest.
      budgetMb: 1043.5,
      reservations: {
        demand: { models: ['demand-*'], mb: 19.5 },
        rest: { models: ['*'], mb: 1024 },
      },
    },
  },

  // What gates evaluate versions on: the latest quarter of the payments, which no model was trained on. `npm start` writes the file.
  datasets: {
    'held-out-payments': {
      file: './data/payments-held-out.csv',
      kind: 'classification',
      label: 'is_fraud',
      slices: ['payment_method'],
      limit: 10_000,
    },
  },

  // How a release goes on, for endpoints that name it: an hour of copies, then 5 % and a quarter of the users.
  plans: { careful: 'shadow:1h/skip,canary:5%/30m,25%/30m,100%' },

  // Every model has an endpoint of its own name, so breast-cancer needs nothing here. Declare one to say which versions answer, how
  // long a caller waits at most, and what the log keeps.
  endpoints: {
    // Is this payment fraud? The checkout gets an answer whatever breaks: from the newest version, from those before it when that
    // fails or takes too long, and from three rules when no model answers. The answer says so: its flags hold "fallback".
    // Version 3 looks up what is known of the user, the card and the merchant (features/). Callers that name none of them, but say
    // all that versions 1 and 2 take, are answered by version 2.
    fraud: {
      // A number pins a version: what is pushed takes no traffic here before a release gives it some
      // ("headrace release start fraud --from 3 --to 4"). An alias moves by decision: version('fraud', { alias: 'champion' }).
      // 'latest' is the newest version that is ready.
      route: fallback({
        name: 'fraud-fallback',
        arms: [
          { route: version('fraud', 3), timeoutMs: 200 },
          { route: version('fraud', 2), timeoutMs: 200 },
          { route: version('fraud', 1), timeoutMs: 100 },
          version('fraud-rule', 1),
        ],
      }),

      // Longer than this the store is not waited for: what it would have said is then a default, and flagged.
      features: { budgetMs: 20 },

      // The checkout waits for this answer: past it the caller gets 504 and goes on without.
      deadlineMs: 500,

      release: { plan: 'careful' },

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

    // Which payments should a person look at first? The back office says all ten things itself. A version takes the place of 2 only
    // when it passes these gates, and then step by step: docs/bring-your-own-model.md brings one.
    'fraud-review': {
      route: version('fraud', 2),
      gates: {
        evaluations: [{ dataset: 'held-out-payments', metric: 'auc', atLeast: 0.75, tolerance: 0.02 }],
        slo: { p99Ms: 250, memoryMb: 200 },
      },
      release: { plan: 'careful' },
    },

    // The same question, asked far more often: each time a basket changes. The regression answers what it is sure of (seven in
    // ten), and the trees, which cost three times as much, only the rest. README.md says what that saves and what it loses.
    'fraud-screen': {
      route: fallback({
        name: 'screen-fallback',
        arms: [
          {
            route: cascade({
              name: 'screen',
              arms: [{ route: version('fraud', 1), confidence: 0.98 }, { route: version('fraud', 2) }],
            }),
            timeoutMs: 200,
          },
          version('fraud-rule', 1),
        ],
      }),
      deadlineMs: 500,
    },

    // Will this session end in a purchase? By user_id alone; version 1 answers callers that describe the session themselves.
    'purchase-intent': {
      route: fallback({
        name: 'intent-fallback',
        arms: [version('purchase-intent', 'latest'), version('purchase-intent', 1)],
      }),
    },

    // In which order to show the products of a page: one request with a row for each. Pages that many people open are answered from
    // the cache; when the model fails, with the last answer to the same page, and if there is none the page stays as it is.
    'product-ranking': {
      route: fallback({
        name: 'ranking-fallback',
        arms: [
          { route: version('product-ranking'), timeoutMs: 200 },
          lastKnown(),
          constant('as-listed', { label: 0, probabilities: [0.5, 0.5] }),
        ],
      }),
      cache: { key: 'tensors', ttlMs: 60_000 },
      deadlineMs: 500,
    },
  },
})
