// Every gate, in the order they run: those that later ones need first, the cheap before the costly.
import { approvals } from './approvals.js'
import { evaluation } from './evaluation.js'
import type { Gate } from './gate.js'
import { latency } from './latency.js'
import { loads } from './loads.js'
import { memory } from './memory.js'
import { signature } from './signature.js'
import { warmUp } from './warm-up.js'

export const GATES: readonly Gate[] = [loads, warmUp, signature, evaluation, latency, memory, approvals]
