// Every gate, in the order they run: those that later ones need first, the cheap before the costly.
import type { Gate } from './gate.js'
import { loads } from './loads.js'
import { signature } from './signature.js'
import { warmUp } from './warm-up.js'

export const GATES: readonly Gate[] = [loads, warmUp, signature]
