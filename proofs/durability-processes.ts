// The same promise for a server of two processes: a worker is killed under load, and a moment later the primary.
import { durability } from './durability.js'

export const proof = durability(
  'Killed at any moment under load, a worker first and then the primary, a server of two processes loses and duplicates nothing it acknowledged, and starts again cleanly.',
  2,
)
