// Other people's Python clients, unchanged, against the live server: tritonclient and KServe's, over JSON.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { startTestServer } from '../support/start-server.js'
import { tempFolder } from '../support/temp-folder.js'

const run = promisify(execFile)
const sample = join(import.meta.dirname, '../../examples/shop/samples/breast-cancer.json')

describe('Python clients', () => {
  it('work unmodified over JSON: health, metadata, inference in both protocols, NaN, errors', {
    timeout: 120_000,
  }, async ({ skip }) => {
    const missing = await run('python3', ['-c', 'import tritonclient.http, kserve']).then(
      () => undefined,
      () => 'python3 with tritonclient[http] and kserve is not installed',
    )
    if (missing !== undefined) skip(missing)
    const server = await startTestServer({ folder: tempFolder() })
    try {
      const { stdout } = await run('python3', [join(import.meta.dirname, 'json_clients.py'), server.url, sample])
      const { triton, kserve } = JSON.parse(stdout.trim().split('\n').at(-1)!)
      const labels = [1, 0, 1, 0, 0]
      expect(triton).toMatchObject({
        live: true,
        ready: true,
        modelReady: true,
        versionReady: true,
        server: 'headrace',
        metadata: {
          name: 'breast-cancer',
          versions: ['1'],
          inputs: [{ name: 'features', datatype: 'FP32', shape: [-1, 30] }],
        },
        id: 'request-1',
        outputs: ['probabilities', 'label'],
        label: labels,
        nanInNanOut: true,
        errors: {
          'unknown model': { status: '404', message: expect.stringContaining('Request for unknown model') },
          'wrong shape': { status: '400', message: expect.stringContaining('[-1,30]') },
        },
      })
      expect(triton.repository).toContainEqual({ name: 'fraud', version: '2', state: 'READY' })
      expect(kserve).toMatchObject({
        ready: true,
        live: true,
        modelReady: true,
        modelReadyV1: true,
        modelName: 'breast-cancer',
        label: labels,
        labelV1: labels,
        error: expect.stringContaining('[-1,30]'),
      })
    } finally {
      await server.close()
    }
  })
})
