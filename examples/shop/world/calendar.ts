// The days the world covers. Moments are counted in days from the first one, with a fraction for the time of day.
import type { Random } from './random.js'

export const FIRST_DAY = Date.UTC(2026, 7, 1)
export const WORLD_DAYS = 90

const DAY_MS = 86_400_000

/** How busy each hour of the day is, midnight first: quiet at night, busiest in the evening. */
const BUSYNESS = [4, 3, 2, 1, 1, 1, 2, 4, 7, 9, 11, 12, 13, 12, 11, 11, 12, 14, 17, 20, 21, 18, 12, 7]

/** A moment of the given day, at an hour drawn from how busy the shop is. */
export function momentOfDay(day: number, random: Random): number {
  const hour = random.pickWeighted([
    [0, BUSYNESS[0]!],
    ...BUSYNESS.slice(1).map((weight, i) => [i + 1, weight] as const),
  ])
  return Math.floor(day) + (hour + random.uniform()) / 24
}

export function hourOf(moment: number): number {
  return Math.floor((moment - Math.floor(moment)) * 24)
}

/** ISO time with whole seconds, as it stands in the files. */
export function isoTime(moment: number): string {
  const seconds = Math.floor((FIRST_DAY + moment * DAY_MS) / 1000)
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}
