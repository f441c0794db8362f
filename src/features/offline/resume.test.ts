import { spawn } from 'node:child_process'
import { existsSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { queryFile, writeTable } from '../../../test/support/parquet.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { seededRandom, testPlatform } from '../../core/index.js'
import { compileFeatures } from '../compile.js'
import { column, count, defineEntity, defineFeatureService, defineFeatureView, fileSource } from '../index.js'
import { createOfflineStore } from './offline-store.js'

const T0 = 1_700_000_000_000
const user = defineEntity('user', { keys: { user_id: 'string' } })
const rowView = (n: number) =>
  defineFeatureView(`v${n}`, {
    entities: [user],
    source: fileSource(`f${n}`, { path: `f${n}.parquet`, eventTime: 'at' }),
    features: { [`x${n}`]: column('float64') },
  })
const definitions = [
  defineFeatureService('s', [
    rowView(0),
    rowView(1),
    defineFeatureView('w', {
      entities: [user],
      source: fileSource('f0', { path: 'f0.parquet', eventTime: 'at' }),
      features: { n: count({ over: '1h' }) },
    }),
  ]),
]

function offlineIn(root: string) {
  return createOfflineStore({
    platform: testPlatform(),
    root,
    environment: {},
    threads: 1,
    tempFolder: join(root, 'temp'),
    eventFiles: async () => [],
  })
}

async function world(): Promise<string> {
  const root = tempFolder()
  const random = seededRandom(5)
  const row = () => [`u${Math.floor(random.next() * 20)}`, T0 + Math.floor(random.next() * 1e7), random.next()]
  for (const name of ['f0', 'f1'])
    await writeTable(
      join(root, `${name}.parquet`),
      { user_id: 'VARCHAR', at: 'BIGINT', [name.replace('f', 'x')]: 'DOUBLE' },
      Array.from({ length: 500 }, row),
    )
  await writeTable(
    join(root, 'labels.parquet'),
    { user_id: 'VARCHAR', event_timestamp: 'BIGINT', y: 'DOUBLE' },
    Array.from({ length: 300 }, row),
  )
  return root
}

const service = compileFeatures(definitions).services.get('s')!
const written = (root: string) => queryFile(`SELECT * FROM '${join(root, 'train.parquet')}'`)

describe('a training set that was interrupted', () => {
  it('by kill -9 at any moment leaves nothing or the whole file, and the next run makes the same', async () => {
    const root = await world()
    const request = { service, labels: 'labels.parquet', out: 'train.parquet' }
    await offlineIn(root).trainingSet(request)
    const expected = await written(root)
    // The child reads compiled files, as a server does.
    const source = fileURLToPath(new URL('../../../dist/features/index.js', import.meta.url))
    const module = join(root, 'definitions.mjs')
    writeFileSync(
      module,
      `import { column, count, defineEntity, defineFeatureService, defineFeatureView, fileSource } from ${JSON.stringify(source)}
       const user = defineEntity('user', { keys: { user_id: 'string' } })
       const file = (n) => fileSource('f' + n, { path: 'f' + n + '.parquet', eventTime: 'at' })
       const view = (n) => defineFeatureView('v' + n, { entities: [user], source: file(n), features: { ['x' + n]: column('float64') } })
       export default [defineFeatureService('s', [view(0), view(1), defineFeatureView('w', { entities: [user], source: file(0), features: { n: count({ over: '1h' }) } })])]`,
    )
    const child = fileURLToPath(new URL('../../../test/support/training-set-child.mjs', import.meta.url))
    const random = seededRandom(11)
    for (const killAt of ['labels', 'v0', 'v1', 'w', 'output']) {
      const out = join(root, 'train.parquet')
      const running = spawn(process.execPath, [child, root, module], { stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = new Promise((resolve) => running.once('exit', resolve))
      let waits = Math.floor(random.next() * 3)
      running.stdout.on('data', (text: Buffer) => {
        if (!text.toString().split('\n').includes(killAt)) return
        // At the step's beginning, or a few turns into it.
        const kill = () => (waits-- > 0 ? setImmediate(kill) : running.kill('SIGKILL'))
        kill()
      })
      await ended
      if (existsSync(out)) expect(await written(root)).toEqual(expected)
    }
    await offlineIn(root).trainingSet(request)
    expect(await written(root)).toEqual(expected)
    expect(readdirSync(join(root, 'temp', 'training-sets'))).toEqual([])
  }, 60_000)

  it('goes on from the last finished part, and makes anew the part whose source has changed', async () => {
    const root = await world()
    const stop = new AbortController()
    const request = { service, labels: 'labels.parquet', out: 'train.parquet' }
    const run = offlineIn(root).trainingSet({
      ...request,
      signal: stop.signal,
      onProgress: ({ step }) => {
        if (step === 'w') stop.abort()
      },
    })
    await expect(run).rejects.toThrow(/abort/i)
    const [folder] = readdirSync(join(root, 'temp', 'training-sets'))
    const parts = () => readdirSync(join(root, 'temp', 'training-sets', folder!)).sort()
    expect(parts().map((name) => name.split('-')[0])).toEqual(['labels', 'v0', 'v1'])
    expect(existsSync(join(root, 'train.parquet'))).toBe(false)
    // Its part is poisoned: a run that takes it shows it.
    const kept = parts().find((name) => name.startsWith('v1'))!
    const rids = Array.from({ length: 300 }, (_, i) => [i, 1, -7])
    await writeTable(
      join(root, 'temp', 'training-sets', folder!, kept),
      { rid: 'BIGINT', e: 'BIGINT', v0: 'DOUBLE' },
      rids,
    )
    const touched = new Date()
    utimesSync(join(root, 'f0.parquet'), touched, touched)
    await offlineIn(root).trainingSet(request)
    const values = await queryFile(`SELECT DISTINCT x1 FROM '${join(root, 'train.parquet')}'`)
    expect(values).toEqual([[-7]])
    await offlineIn(root).trainingSet({ ...request, resume: false })
    expect(await queryFile(`SELECT count(*) FROM '${join(root, 'train.parquet')}' WHERE x1 = -7`)).toEqual([['0']])
  })
})

describe('the proof of a training set', () => {
  it('fails, naming row, feature and both values, when a plan used what was known only later; nothing is written', async () => {
    const root = tempFolder()
    await writeTable(join(root, 'rows.parquet'), { user_id: 'VARCHAR', at: 'BIGINT', known: 'BIGINT', x: 'DOUBLE' }, [
      ['a', T0, T0, 1],
      ['a', T0 + 1, T0 + 100, 2],
    ])
    await writeTable(join(root, 'labels.parquet'), { user_id: 'VARCHAR', event_timestamp: 'BIGINT' }, [['a', T0 + 50]])
    const source = fileSource('rows', { path: 'rows.parquet', eventTime: 'at', knownTime: 'known' })
    const view = defineFeatureView('v', { entities: [user], source, features: { x: column('float64') } })
    const compiled = compileFeatures([defineFeatureService('s', [view])]).services.get('s')!
    const stop = new AbortController()
    const request = { service: compiled, labels: 'labels.parquet', out: 'train.parquet', proofRows: 10 }
    const stopped = offlineIn(root).trainingSet({
      ...request,
      signal: stop.signal,
      onProgress: ({ step }) => step === 'proof' && stop.abort(),
    })
    await expect(stopped).rejects.toThrow(/abort/i)
    const folder = join(root, 'temp', 'training-sets')
    const part = join(
      folder,
      readdirSync(folder)[0]!,
      readdirSync(join(folder, readdirSync(folder)[0]!)).find((name) => name.startsWith('v-'))!,
    )
    expect(await queryFile(`SELECT v0 FROM '${part}'`)).toEqual([[1]])
    // What a join by event time alone finds.
    await writeTable(part, { rid: 'BIGINT', e: 'BIGINT', v0: 'DOUBLE' }, [[0, T0 + 1, 2]])
    await expect(offlineIn(root).trainingSet(request)).rejects.toMatchObject({
      code: 'FEATURE_PROOF_FAILED',
      params: { row: 0, feature: 'x', problem: expect.stringContaining('the plan says 2, the oracle 1') },
    })
    expect(existsSync(join(root, 'train.parquet'))).toBe(false)
  })
})
