// Floor 1. Time and pressure: the small mechanisms that keep a request inside its promises, all on the injected clock.
// Used by everyone who needs one; a retry or a deadline written elsewhere belongs here.
// Nothing here knows what it delays, bounds or repeats.
export { Breaker, type BreakerOptions, type BreakerState } from './breaker.js'
export { Deadline } from './deadline.js'
export { RetryBudget, type RetryBudgetOptions } from './retry-budget.js'
