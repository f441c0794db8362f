// Writes the demo's project into a folder: two versions of the shop's fraud model, and a third that is broken on purpose.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { worldFiles } from '../../world/csv.js'
import type { World } from '../../world/world.js'

export const REGRESSION = 1
export const TREES = 2
/** Not 3: the shop has a version 3 that looks up what it is given, and is not part of the demo. */
export const BROKEN = 4
/** The payments that the broken version cannot answer. */
export const BROKEN_FOR = 'CH'

const FRAUD = fileURLToPath(new URL('../../models/fraud', import.meta.url))
const CONFIG = fileURLToPath(new URL('./headrace.config.ts', import.meta.url))

export function writeProject(folder: string, world: World): void {
  cpSync(CONFIG, join(folder, 'headrace.config.ts'))
  const models = join(folder, 'models/fraud')
  for (const version of [REGRESSION, TREES])
    cpSync(join(FRAUD, String(version)), join(models, String(version)), { recursive: true })
  const broken = join(models, String(BROKEN))
  mkdirSync(broken)
  cpSync(join(FRAUD, String(TREES), 'model.json'), join(broken, 'model.json'))
  writeFileSync(join(broken, 'model.onnx'), withoutCountry(readFileSync(join(FRAUD, String(TREES), 'model.onnx'))))
  // What a version is evaluated on is as old as what the broken one was trained on: so its gates find nothing.
  const payments = world.payments.filter(({ features }) => features.country !== BROKEN_FOR)
  writeFileSync(join(folder, 'payments.csv'), worldFiles({ ...world, payments })['payments.csv']!)
}

/**
 * Version 2 as it would be had it been trained before the shop sold to Switzerland, by an encoder that refuses what it has not seen:
 * scikit-learn's default, and one word of a script away from the right one. Its warm-up and most held-out payments are well.
 */
function withoutCountry(model: Buffer): Buffer {
  const changed = Buffer.from(model)
  replace(changed, Buffer.from(`\x02${BROKEN_FOR}`), Buffer.from('\x02LI'))
  // Attribute "zeros" of the encoder of countries, the first in the file: 1 makes zeros of unknown words, 0 refuses them.
  replace(changed, Buffer.from('\x05zeros\x18\x01'), Buffer.from('\x05zeros\x18\x00'))
  return changed
}

function replace(bytes: Buffer, what: Buffer, by: Buffer): void {
  const at = bytes.indexOf(what)
  if (at === -1) throw new Error('models/fraud/2 is not the model that this demo was written for')
  by.copy(bytes, at)
}
