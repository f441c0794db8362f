import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { compare, makeData } from './data.js'

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    rounds: { type: 'string', default: '3' },
    'feast-rows': { type: 'string', default: '100000' },
    python: { type: 'string', default: 'python3' },
  },
})
const rows = Number(values.rows)
const feastRows = Number(values['feast-rows'])
const rounds = Number(values.rounds)
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

async function child(command: string, args: readonly string[]): Promise<Figures> {
  const { stdout } = await promisify(execFile)(command, [...args], { maxBuffer: 1 << 26 })
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Figures
}

const ours = (data: string, out: string, times: 'known' | 'event') =>
  child(process.execPath, [here('headrace-child.mjs'), data, out, times])
const feasts = (data: string, out: string) => child(values.python, [here('feast_join.py'), data, out])

const machine = describeMachine()
const folder = mkdtempSync(join(tmpdir(), 'headrace-bench-'))
try {
  if (rows > 0) {
    const large = join(folder, 'large')
    mkdirSync(large)
    console.log(`making 4 views and labels of ${rows} rows`)
    await makeData(large, rows)
    const figures: Figures[] = []
    for (let round = 0; round < Math.min(rounds, 2); round++)
      figures.push(await ours(large, join(large, 'out.parquet'), 'known'))
    rmSync(large, { recursive: true })
    const question = `How long does a point-in-time join of ${rows} labels with 4 views × 5 features of ${rows} rows take?`
    publish(makeReport('point-in-time-large', question, machine, { headrace: figures }))
  }
  const missing = spawnSync(values.python, ['-c', 'import feast'], { encoding: 'utf8' })
  if (feastRows === 0) {
    console.log('Without Feast, as asked.')
  } else if (missing.status !== 0) {
    console.log(`${values.python} has no Feast (pip install feast==0.67.0, or --python): the comparison is left out.`)
  } else {
    const small = join(folder, 'small')
    mkdirSync(small)
    await makeData(small, feastRows)
    const feastOut = join(small, 'feast.parquet')
    const headraceOut = join(small, 'headrace.parquet')
    await feasts(small, feastOut)
    await ours(small, headraceOut, 'event')
    const { same, differing, onlyLeft, onlyRight } = await compare(headraceOut, feastOut)
    if (differing > 0 || onlyRight > 0 || same + onlyLeft !== feastRows) {
      throw new Error(
        `${differing} of ${feastRows} rows differ between Feast and Headrace, ${onlyRight} are missing here.`,
      )
    }
    console.log(`${same} rows of 20 values are the same. Feast dropped the other ${onlyLeft} label rows.`)
    const figures: { headrace: Figures[]; feast: Figures[] } = { headrace: [], feast: [] }
    for (let round = 0; round < rounds; round++) {
      figures.headrace.push(await ours(small, headraceOut, 'event'))
      figures.feast.push(await feasts(small, feastOut))
    }
    const question = `How long does it take beside Feast's file offline store, on ${feastRows} labels and 4 views of ${feastRows} rows?`
    publish(makeReport('point-in-time', question, machine, figures))
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
