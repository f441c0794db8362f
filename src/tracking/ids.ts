// Ids as MLflow's clients expect them, and numbers for rows that grow with time.
import type { Platform } from '../core/index.js'

/** 32 hexadecimal digits. */
export function randomHex({ random }: Pick<Platform, 'random'>): string {
  let hex = ''
  for (let i = 0; i < 4; i++) hex += random.uint32().toString(16).padStart(8, '0')
  return hex
}

/** 2020-01-01. Numbers fit into 53 bits for the next 270 years. */
const EPOCH_MS = 1_577_836_800_000
const PER_MS = 1024

/** Numbers that grow: by time over all nodes, strictly within this process. Random in their last digits, so that two nodes do not meet. */
export function createNumbers({ clock, random }: Pick<Platform, 'clock' | 'random'>): () => number {
  let last = 0
  return () => {
    const next = (clock.nowMs() - EPOCH_MS) * PER_MS + (random.uint32() % PER_MS)
    last = next > last ? next : last + 1
    return last
  }
}

/** `brisk-heron-417`: what a run is called that was given no name. */
export function randomName({ random }: Pick<Platform, 'random'>): string {
  const of = (words: readonly string[]) => words[random.uint32() % words.length]!
  return `${of(ADJECTIVES)}-${of(NOUNS)}-${random.uint32() % 1000}`
}

const ADJECTIVES =
  'able agile bold brisk calm clean clear clever crisp deft eager early fair fast fine firm fond frank fresh glad grand handy happy hardy keen kind light lively loyal lucid mellow merry mild neat nimble noble open plain polite prime prompt proud quick quiet rapid ready rich robust sharp shy silent sleek smart smooth snug sober solid sound spry steady stout strong sturdy subtle sunny sure swift tidy trim true upbeat useful vivid warm wise witty zesty'.split(
    ' ',
  )
const NOUNS =
  'ant ape auk badger bat bear bee boar buck carp cat cod colt conch cow crab crane crow cub deer dove duck eagle eel elk ewe fawn finch fish flea fly foal fox frog gnat goat goose grouse gull hare hawk hen heron horse hound ibis jay koi lamb lark lion loon lynx mink mole moose moth mouse mule newt otter owl ox perch pig pike pony puma quail ram rat raven ray roan robin rook seal shad shark sheep shrew shrike skunk sloth slug smelt snail snipe sow sparrow squid stag stork swan swift tern toad trout turtle vole wasp whale wolf worm wren yak zebra'.split(
    ' ',
  )
