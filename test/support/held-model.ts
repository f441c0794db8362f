// A model whose runs wait until the test lets them go: what has to happen meanwhile needs no speed.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface HeldModel {
  /** Runs that wait, and those to come, end. */
  letGo(): void
  /** Runs to come wait. */
  hold(): void
}

/** y = x, one request a run; a run with 0 only, as those it is warmed up with, does not wait. */
export function writeHeldModel(projectFolder: string, name: string): HeldModel {
  const folder = join(projectFolder, 'models', name, '1')
  const open = join(projectFolder, `${name}-open`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'model.json'), JSON.stringify({ batching: { enabled: false } }))
  writeFileSync(
    join(folder, 'model.mjs'),
    `import { existsSync } from 'node:fs'
     import { setTimeout } from 'node:timers/promises'
     import { defineScript } from 'headrace'
     export default defineScript({
       inputs: { x: { datatype: 'FP32', shape: [-1, 4] } },
       outputs: { y: { datatype: 'FP32', shape: [-1, 4] } },
       timeoutMs: 30_000,
       async run({ inputs: { x } }) {
         while (x.data.some((value) => value !== 0) && !existsSync(${JSON.stringify(open)})) await setTimeout(10)
         return { y: x.data }
       },
     })`,
  )
  return {
    letGo: () => writeFileSync(open, ''),
    hold: () => rmSync(open, { force: true }),
  }
}
