// When what happened was known to the shop: mostly a second or two later, sometimes hours. Training sets that ignore it learn
// from what nobody knew yet.
import type { Random } from './random.js'

const SECOND = 1 / 86_400

/** A moment on a whole second, so that what is computed from it is what stands in the files. */
export function onSecond(moment: number): number {
  return Math.floor(moment / SECOND + 1e-6) * SECOND
}

export function secondsLater(moment: number, seconds: number): number {
  return moment + seconds * SECOND
}

/** Up to three seconds after it happened; in one of a hundred cases after up to `lateSeconds`. */
export function arrivalOf(moment: number, lateSeconds: number, random: Random): number {
  const seconds = random.chance(0.01) ? random.between(60, lateSeconds) : random.between(0, 3)
  return secondsLater(moment, Math.ceil(seconds))
}
