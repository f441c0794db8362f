import { constant, defineProject, fallback, version } from 'headrace'

// `echo` answers 1, 2, … times its input by version, so that an answer says who gave it.
export default defineProject({
  name: 'drill',
  // Users of the cached endpoint never ask the same twice, so that each of them asks the shared tier.
  serving: { cache: { switchOffHitRate: 0 } },
  endpoints: {
    guarded: {
      route: fallback({
        name: 'guard',
        arms: [
          { route: version('echo', 2), timeoutMs: 150 },
          { route: version('echo', 1), timeoutMs: 150 },
          constant('default', { y: [0] }),
        ],
      }),
      deadlineMs: 1000,
    },
    isolated: {
      route: fallback({
        name: 'guard',
        arms: [
          { route: version('apart', 1), timeoutMs: 150 },
          { route: version('echo', 1), timeoutMs: 150 },
        ],
      }),
      deadlineMs: 1000,
    },
    alone: { route: version('stuck', 1), deadlineMs: 300 },
    busy: { route: version('busy', 1), deadlineMs: 2000 },
    cached: { route: version('echo', 1), deadlineMs: 2000, cache: {} },
    durable: { route: version('echo', 1), deadlineMs: 2000, log: { ack: 'before-reply' } },
  },
})
