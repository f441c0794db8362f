// Writes a world as CSV files for the training scripts:
//   npx tsx examples/shop/world/generate.ts --seed 7 --out examples/shop/data
// With --until now (or a moment as 2026-11-22T10:00:00Z) it ends there; without, it covers August to October 2026.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { FIRST_DAY, WORLD_DAYS } from './calendar.js'
import { worldFiles } from './csv.js'
import { createWorld } from './world.js'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '7' },
    out: { type: 'string', default: 'examples/shop/data' },
    until: { type: 'string' },
  },
})

const seed = Number(values.seed)
if (!Number.isSafeInteger(seed)) throw new Error(`--seed must be a whole number, not "${values.seed}".`)

const DAY_MS = 86_400_000
const LAST_DAY = FIRST_DAY + WORLD_DAYS * DAY_MS
const isMoved = values.until !== undefined
const untilMs = values.until === 'now' ? Date.now() : Date.parse(values.until ?? '')
if (isMoved && Number.isNaN(untilMs))
  throw new Error(`--until must be "now" or a moment as 2026-11-22T10:00:00Z, not "${values.until}".`)
// Its last day is the one that is not over yet.
const moved = isMoved ? { shiftDays: Math.ceil((untilMs - LAST_DAY) / DAY_MS), untilMs } : {}

await mkdir(values.out, { recursive: true })
for (const [name, text] of Object.entries(worldFiles(createWorld({ seed }), moved))) {
  await writeFile(join(values.out, name), text)
  console.log(`${join(values.out, name)}  ${text.split('\n').length - 2} rows`)
}
