import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { openDuck } from './duck.js'

describe('a DuckDB of an operation', () => {
  it('sorts far more than its memory limit by spilling, and leaves nothing behind', async () => {
    const folder = tempFolder()
    const memoryLimitBytes = 64 * 1024 ** 2
    const duck = await openDuck({ memoryLimitBytes, threads: 1, tempFolder: folder, root: folder })
    // 120 MB of random numbers.
    await duck.run(
      'CREATE TABLE sorted AS SELECT * FROM (SELECT random() AS a, random() AS b, i FROM range(5000000) AS t(i)) ORDER BY a',
    )
    expect(await duck.rows('SELECT count(*) FROM sorted')).toEqual([[5_000_000n]])
    const [[bytes]] = (await duck.rows('SELECT sum(memory_usage_bytes) FROM duckdb_memory()')) as [[bigint]]
    expect(Number(bytes)).toBeLessThanOrEqual(memoryLimitBytes)
    const [[spilled]] = (await duck.rows('SELECT sum(temporary_storage_bytes) FROM duckdb_memory()')) as [[bigint]]
    expect(Number(spilled)).toBeGreaterThan(0)
    await duck.close()
    expect(readdirSync(folder)).toEqual([])
  }, 30_000)

  it('removes what a killed process had spilled, and nothing else', async () => {
    const folder = tempFolder()
    for (const name of ['4194305-1', `${process.ppid}-1`, 'other']) mkdirSync(join(folder, name))
    const options = { memoryLimitBytes: 2 ** 26, threads: 1, tempFolder: folder, root: folder }
    const both = await Promise.all([openDuck(options), openDuck(options)])
    expect(existsSync(join(folder, '4194305-1'))).toBe(false)
    for (const duck of both) await duck.close()
    expect(readdirSync(folder).sort()).toEqual([`${process.ppid}-1`, 'other'])
  })

  it('stops a statement, also one that has not begun, when it is aborted', async () => {
    const folder = tempFolder()
    const stop = new AbortController()
    const duck = await openDuck({
      memoryLimitBytes: 2 ** 27,
      threads: 1,
      tempFolder: folder,
      root: folder,
      signal: stop.signal,
    })
    const running = duck.rows('SELECT sum(a.i * b.i) FROM range(1000000) AS a(i), range(1000000) AS b(i)')
    stop.abort()
    await expect(running).rejects.toThrow(/abort/i)
    await expect(duck.rows('SELECT 1')).rejects.toThrow(/abort/i)
    await duck.close()
  })
})
