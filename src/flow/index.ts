// Floor 1. Time and pressure: the small mechanisms that keep a request inside its promises, all on the injected clock.
// Used by everyone who needs one; a retry or a deadline written elsewhere belongs here.
// Nothing here knows what it delays, bounds or repeats.
export { Deadline } from './deadline.js'
