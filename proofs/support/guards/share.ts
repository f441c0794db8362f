// A process that runs its share of the repetitions and says so: started by proofs/guards.ts.
import { noFindings, type Rounds, runRound } from './rounds.js'

process.once('message', ({ seed, first, every, count }: Rounds) => {
  const findings = noFindings()
  let done = 0
  for (let round = first; round < count; round += every) {
    runRound(findings, seed, round)
    done++
    if (done % 20 === 0) process.send!({ done })
  }
  process.send!({ done, findings }, () => process.exit(0))
})
