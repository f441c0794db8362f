// What loading and releasing a model again and again leaves behind in a process, by where it is done and how memory is allocated.
// `tsx bench/reload/leak.ts [--count 100] [--only weights-1]`; prints one line of a table per case.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { mlpModel, treesModel } from './models.js'

const { values } = parseArgs({ options: { count: { type: 'string', default: '100' }, only: { type: 'string' } } })
const count = Number(values.count)
const child = fileURLToPath(new URL('./leak-child.mjs', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'headrace-leak-'))

const MODELS = {
  'weights-1': { bytes: mlpModel({ inputs: 64, hidden: [500, 500], outputs: 8, seed: 1 }), width: 64 },
  'weights-10': { bytes: mlpModel({ inputs: 64, hidden: [1600, 1600], outputs: 8, seed: 1 }), width: 64 },
  'weights-100': { bytes: mlpModel({ inputs: 64, hidden: [5000, 5000], outputs: 8, seed: 1 }), width: 64 },
  'trees-5': { bytes: treesModel({ features: 32, trees: 300, depth: 8, seed: 1 }), width: 32 },
}

interface Case {
  readonly place: string
  readonly from: 'bytes' | 'path'
  readonly arena: boolean
  readonly env: Readonly<Record<string, string>>
}

const PLAIN = { from: 'bytes', arena: true, env: {} } as const
const MMAP = { MALLOC_MMAP_THRESHOLD_: '1048576', MALLOC_TRIM_THRESHOLD_: '1048576' }
const CASES: readonly Case[] = [
  { ...PLAIN, place: 'inline' },
  { ...PLAIN, place: 'inline', arena: false },
  { ...PLAIN, place: 'inline', from: 'path' },
  { ...PLAIN, place: 'inline', env: { MALLOC_TRIM_THRESHOLD_: '131072' } },
  { ...PLAIN, place: 'inline', env: MMAP },
  { ...PLAIN, place: 'thread' },
  { ...PLAIN, place: 'thread', arena: false },
  { ...PLAIN, place: 'thread', env: { MALLOC_ARENA_MAX: '2' } },
  { ...PLAIN, place: 'thread', env: { ...MMAP, MALLOC_ARENA_MAX: '2' } },
  { ...PLAIN, place: 'thread that ends' },
  { ...PLAIN, place: 'thread that ends', arena: false },
  { ...PLAIN, place: 'thread that ends', env: { MALLOC_ARENA_MAX: '2' } },
  { ...PLAIN, place: 'thread that ends', env: { ...MMAP, MALLOC_ARENA_MAX: '2' } },
  { ...PLAIN, place: 'child process' },
]

console.log('| Model | File | Where | Allocation | RSS after a tenth | after all | Per reload |')
console.log('| --- | ---: | --- | --- | ---: | ---: | ---: |')
for (const [name, { bytes, width }] of Object.entries(MODELS)) {
  if (values.only !== undefined && values.only !== name) continue
  const model = join(folder, `${name}.onnx`)
  writeFileSync(model, bytes)
  for (const { place, from, arena, env } of CASES) {
    const options = JSON.stringify({ model, place, from, arena, width, count })
    const output = execFileSync(process.execPath, ['--expose-gc', child, options], {
      env: { ...process.env, ...env },
      encoding: 'utf8',
    })
    const marks = JSON.parse(output) as number[]
    const settings = [
      ...(from === 'path' ? ['from its path'] : []),
      ...(arena ? [] : ['no arena, no pattern']),
      ...Object.entries(env).map(([key, value]) => `${key}=${value}`),
    ]
    const perReload = (marks.at(-1)! - marks[0]!) / (count * 0.9)
    console.log(
      `| ${name} | ${(bytes.length / 2 ** 20).toFixed(1)} MiB | ${place} | ${settings.join(', ') || 'as is'} | ${marks[0]!.toFixed(0)} MiB | ${marks.at(-1)!.toFixed(0)} MiB | ${(perReload * 1024).toFixed(0)} KiB |`,
    )
  }
}
rmSync(folder, { recursive: true })
