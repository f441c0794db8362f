// Writes a world as CSV files for the training scripts:
//   npx tsx examples/shop/world/generate.ts --seed 7 --out examples/shop/data
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { worldFiles } from './csv.js'
import { createWorld } from './world.js'

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '7' }, out: { type: 'string', default: 'examples/shop/data' } },
})

const seed = Number(values.seed)
if (!Number.isSafeInteger(seed)) throw new Error(`--seed must be a whole number, not "${values.seed}".`)

await mkdir(values.out, { recursive: true })
for (const [name, text] of Object.entries(worldFiles(createWorld({ seed })))) {
  await writeFile(join(values.out, name), text)
  console.log(`${join(values.out, name)}  ${text.split('\n').length - 2} rows`)
}
