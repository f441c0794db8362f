// The project of `npm run demo:release`: the shop's fraud model alone, without the fallbacks that keep its users from noticing anything.
import { defineProject, version } from 'headrace'

export default defineProject({
  name: 'release-demo',

  // project.ts writes it: held-out payments, with what they really were.
  datasets: {
    payments: { file: './payments.csv', kind: 'classification', label: 'is_fraud' },
  },

  endpoints: {
    fraud: {
      // A number pins a version. A completed release moves it on.
      route: version('fraud', 1),
      deadlineMs: 2_000,

      // What must hold before a version takes any traffic.
      gates: { evaluations: [{ dataset: 'payments', metric: 'auc', atLeast: 0.7, tolerance: 0.02 }] },

      release: {
        plan: 'shadow:1h,canary:5%/2h,25%/2h,100%/30m',
        // People that each step waits for, however fast its time passes. 100 is the default; the demo is short.
        minUnits: 50,
        guards: {
          // Nobody waits for the median of a third of a millisecond: only slow calls count.
          latency: { quantiles: [0.99], slack: 2 },
          // Trees are meant to call other payments fraud than the regression does.
          outputs: { tolerance: 10, harm: 20 },
        },
      },
    },
  },
})
