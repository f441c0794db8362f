import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../test/support/temp-folder.js'
import { lockFolder } from './index.js'

const storeUrl = new URL('../../dist/store/index.js', import.meta.url)

/** A process that takes the lock, says so, and holds it until it is killed. */
async function holder(folder: string) {
  const script = `
    import { lockFolder } from ${JSON.stringify(storeUrl.href)}
    await lockFolder(process.argv[1])
    console.log('locked')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(createInterface(child.stdout), 'line')
  return child
}

describe('the lock of a data folder', () => {
  it('makes the folder, readable by its owner only', async () => {
    const folder = join(tempFolder(), 'a', 'b')
    const lock = await lockFolder(folder)
    expect(lock.folder).toBe(folder)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    await lock.release()
  })

  it('is given once in a process, and again after it was released', async () => {
    const folder = tempFolder()
    const first = await lockFolder(folder)
    await expect(lockFolder(folder)).rejects.toMatchObject({
      code: 'STORE_FOLDER_LOCKED',
      params: { folder, pid: process.pid },
    })
    await first.release()
    await first.release()
    const second = await lockFolder(folder)
    await second.release()
    expect(readdirSync(folder)).toEqual(['lock.db'])
  })

  it('names the process that holds it, and is free the moment that process is killed', async () => {
    const folder = tempFolder()
    const child = await holder(folder)
    await expect(lockFolder(folder)).rejects.toMatchObject({
      code: 'STORE_FOLDER_LOCKED',
      message: expect.stringContaining(`process ${child.pid}`),
    })
    child.kill('SIGKILL')
    await once(child, 'exit')
    const lock = await lockFolder(folder)
    await lock.release()
  })

  it('is not confused by a pid left behind, even that of a living process', async () => {
    const folder = tempFolder()
    writeFileSync(join(folder, 'lock.pid'), `${process.ppid}\n`)
    const lock = await lockFolder(folder)
    await expect(lockFolder(folder)).rejects.toMatchObject({ params: { pid: process.pid } })
    await lock.release()
  })

  it('says when a folder cannot be made or holds something else in the place of the lock', async () => {
    const file = fileURLToPath(import.meta.url)
    await expect(lockFolder(join(file, 'data'))).rejects.toMatchObject({ code: 'STORE_FOLDER_UNUSABLE' })
    const folder = tempFolder()
    mkdirSync(join(folder, 'lock.db'))
    await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'STORE_FOLDER_UNUSABLE' })
  })

  it('says that a folder cannot be written, and lets go of it', async () => {
    const folder = tempFolder()
    mkdirSync(join(folder, 'lock.pid'))
    await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'STORE_FOLDER_UNUSABLE' })
    rmdirSync(join(folder, 'lock.pid'))
    await (await lockFolder(folder)).release()
  })
})
