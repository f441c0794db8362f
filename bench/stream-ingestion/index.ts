import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    events: { type: 'string', default: '400000' },
    keys: { type: 'string', default: '10000' },
  },
})
const SUBJECTS = ['JSON.parse', 'checked', 'windows', 'ingestor']
const child = fileURLToPath(new URL('child.ts', import.meta.url))

function measure(subject: string): { rates: Figures; windows?: Figures } {
  const flags = ['--expose-gc', '--import', import.meta.resolve('tsx'), child, subject, values.events, values.keys]
  return JSON.parse(execFileSync(process.execPath, flags, { encoding: 'utf8' }))
}

const machine = describeMachine()
const results: Record<string, Figures[]> = {}
const kept: Record<string, Figures[]> = {}
for (let round = 0; round < Number(values.rounds); round++) {
  for (const subject of SUBJECTS) {
    const { rates, windows } = measure(subject)
    results[subject] ??= []
    results[subject].push(rates)
    if (windows === undefined) continue
    kept[subject] ??= []
    kept[subject].push(windows)
  }
}
publish(
  makeReport(
    'stream-ingestion',
    'How many events a second does one core take into ten windowed features?',
    machine,
    results,
  ),
)
publish(makeReport('stream-windows', 'What do the windows of a key take, and how fast are they read?', machine, kept))
