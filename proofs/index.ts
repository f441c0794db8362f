// Runs one proof: `tsx proofs/index.ts <name> [--count N | --seconds N] [--seed N]`. Only a full count writes proofs/results/.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { describeMachine } from '../bench/support/report.js'
import type { Proof, ProofOutcome } from './proof.js'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { count: { type: 'string' }, seconds: { type: 'string' }, seed: { type: 'string', default: '1' } },
})
const [name = ''] = positionals
const file = new URL(`./${name}.ts`, import.meta.url)
if (!/^[a-z-]+$/.test(name) || !existsSync(file)) {
  console.error(`There is no proof "${name}": proofs/${name}.ts does not exist.`)
  process.exit(1)
}
const { proof } = (await import(file.href)) as { proof: Proof }
const { unit = 'repetitions' } = proof
const count = wholeNumber('count', values.count ?? values.seconds ?? String(proof.fullCount))
const seed = wholeNumber('seed', values.seed)

const machine = describeMachine()
console.log(`${name}: ${proof.claim}\n${count} of ${proof.fullCount} ${unit}, seed ${seed}`)
const startMs = performance.now()
let saidMs = startMs
const outcome = await proof.run({
  count,
  seed,
  progress: (done) => {
    const nowMs = performance.now()
    if (nowMs - saidMs < 5000) return
    saidMs = nowMs
    console.log(`${done} of ${count} ${unit} after ${((nowMs - startMs) / 1000).toFixed(0)} s`)
  },
})
const seconds = Math.round((performance.now() - startMs) / 100) / 10
console.log(describe(outcome))
if (count === proof.fullCount) {
  const results = new URL('./results/', import.meta.url)
  mkdirSync(results, { recursive: true })
  const result = { proof: name, claim: proof.claim, count, unit, seed, seconds, machine, ...outcome }
  writeFileSync(new URL(`${name}.json`, results), `${JSON.stringify(result, null, 2)}\n`)
  writeFileSync(new URL(`${name}.md`, results), page(outcome))
  console.log(`Written to proofs/results/${name}.json and ${name}.md.`)
}
// Exits, because a proof may leave handles of the processes that it killed.
process.exit(outcome.failures.length === 0 ? 0 : 1)

function wholeNumber(flag: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error(`--${flag} takes a whole number above 0, not "${text}".`)
  process.exit(1)
}

function describe({ failures, figures }: ProofOutcome): string {
  const lines = Object.entries(figures).map(([figure, value]) => `${figure}: ${value}`)
  if (failures.length === 0) lines.push(`Held for ${count} ${unit} in ${seconds} s.`)
  else lines.push(`BROKEN ${failures.length} times in ${seconds} s:`, ...failures.slice(0, 20))
  return lines.join('\n')
}

function page({ failures, figures }: ProofOutcome): string {
  const { cpu, cores, node, commit, startedAt } = machine
  const lines = [
    `# ${name}`,
    '',
    proof.claim,
    '',
    `${failures.length === 0 ? 'Held' : `Broken ${failures.length} times`} in ${count} ${unit} (seed ${seed}).`,
    '',
    '| figure | value |',
    '| --- | ---: |',
    ...Object.entries(figures).map(([figure, value]) => `| ${figure} | ${value} |`),
    '',
    ...failures.map((failure) => `- ${failure}`),
    ...(failures.length > 0 ? [''] : []),
    `${cpu}, ${cores} cores, Node ${node}, commit ${commit}, ${startedAt}, ${seconds} s. Repeat it with \`npm run proof:${name}\`.`,
  ]
  return `${lines.join('\n')}\n`
}
