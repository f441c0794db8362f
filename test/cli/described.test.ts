// Pushing versions that are described by JSON: without a server, checked at once, and never over HTTP.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { headrace, headraceJson, LONG, makeFolder } from './support.js'

const { folder, remove } = makeFolder([])
mkdirSync(join(folder, 'models'), { recursive: true })
afterAll(remove)

const pushed = (...path: string[]) => JSON.parse(readFileSync(join(folder, 'models', ...path), 'utf8'))

describe('models push', LONG, () => {
  it('takes a server in place of a file, and contacts nobody', async () => {
    const args = ['--remote', 'grpc://nowhere.invalid:8001', '--remote-model', 'resnet50', '--remote-version', '3']
    const answer = await headraceJson(folder, 'models', 'push', 'resnet', ...args)
    expect(answer).toMatchObject({ model: 'resnet', version: 1 })
    expect(pushed('resnet', '1', 'remote.json')).toEqual({
      url: 'grpc://nowhere.invalid:8001',
      model: 'resnet50',
      version: '3',
    })
  })

  it('refuses a remote.json and a pipeline.json with every problem at once', async () => {
    writeFileSync(join(folder, 'remote.json'), '{"url": "ftp://x", "modell": "m"}')
    const remote = await headrace(folder, 'models', 'push', 'bad', 'remote.json')
    expect(remote.status).not.toBe(0)
    expect(remote.stderr).toContain('"url" is "ftp://x"; an address that begins with http://')
    expect(remote.stderr).toContain('"modell" is not a key of remote.json. Did you mean "model"?')
    writeFileSync(
      join(folder, 'pipeline.json'),
      '{"steps": [{"name": "a", "model": "a", "version": "latest", "inputs": {"x": "b.y"}}], "outputs": {"y": "a.y"}}',
    )
    const pipeline = await headrace(folder, 'models', 'push', 'bad', 'pipeline.json')
    expect(pipeline.stderr).toContain('"steps[0].version" is "latest"; the number of a version is needed')
    const option = await headrace(folder, 'models', 'push', 'bad', '--remote', 'nowhere')
    expect(option.stderr).toContain('--remote: "url" is "nowhere"')
    expect(existsSync(join(folder, 'models/bad'))).toBe(false)
  })

  it('sends neither over HTTP, and wants a file or a server', async () => {
    writeFileSync(join(folder, 'remote.json'), '{"url": "http://x:8000", "model": "m"}')
    const sent = await headrace(
      folder,
      'models',
      'push',
      'm',
      'remote.json',
      '--server',
      'http://127.0.0.1:1',
      '--json',
    )
    expect(sent.stderr).toContain('CLI_DESCRIPTION_NOT_SENT')
    for (const args of [[], ['remote.json', '--remote', 'http://x'], ['remote.json', '--remote-model', 'm']]) {
      const wrong = await headrace(folder, 'models', 'push', 'm', ...args)
      expect(wrong.stderr).toContain('headrace models push --help')
    }
  })
})
