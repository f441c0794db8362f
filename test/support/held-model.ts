// Models whose runs, or whose loading, wait until the test lets them go: what has to happen meanwhile needs no speed.
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

export interface ModelHeldInLoading {
  /** Those that wait, and those to come, load. */
  letLoad(): void
  /** Those to come wait. */
  hold(): void
}

/** One version of a script model, y = x times its number, of shape [-1, 1]; `letLoad` and `hold` are of all in the project. */
export function writeModelHeldInLoading(
  projectFolder: string,
  name = 'held',
  version = 1,
  manifest: object = {},
): ModelHeldInLoading {
  const folder = join(projectFolder, 'models', name, String(version))
  const mayLoad = join(projectFolder, 'may-load')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'model.json'), JSON.stringify(manifest))
  writeFileSync(
    join(folder, 'model.mjs'),
    `import { existsSync } from 'node:fs'
     import { setTimeout } from 'node:timers/promises'
     import { defineScript } from 'headrace'
     while (!existsSync(${JSON.stringify(mayLoad)})) await setTimeout(10)
     const x = { datatype: 'FP32', shape: [-1, 1] }
     export default defineScript({
       inputs: { x }, outputs: { y: x }, timeoutMs: 30_000,
       run: ({ inputs: { x } }) => ({ y: x.data.map((value) => value * ${version}) }),
     })`,
  )
  return {
    letLoad: () => writeFileSync(mayLoad, ''),
    hold: () => rmSync(mayLoad, { force: true }),
  }
}
