// What only a process of its own can show: what is printed, that it ends, and that it does not abort.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { onnxArtifact } from '../../../test/support/onnx-artifact.js'
import * as models from '../../../test/support/onnx-models.js'

const DIST = new URL('../../../dist/', import.meta.url).href

/** Runs a script with `load(i)` for the artifacts given, `run(backend, data)` and `onnx`; resolves when the process has ended. */
async function script(files: Uint8Array[], text: string): Promise<{ stdout: string; stderr: string }> {
  const artifacts = files.map((bytes) => onnxArtifact(bytes))
  const source = `
    import { createPlatform, systemClock } from '${DIST}core/index.js'
    import { Deadline } from '${DIST}flow/index.js'
    import { createOnnxBackends } from '${DIST}serving/onnx/create-onnx-backends.js'
    const artifacts = ${JSON.stringify(artifacts)}
    const platform = createPlatform()
    const onnx = createOnnxBackends({ threads: 1 })
    const load = (i) => onnx.load(artifacts[i], { platform })
    const run = (backend, ...data) => {
      const { name, datatype } = backend.signature.inputs[0]
      const array = datatype === 'INT64' ? BigInt64Array.from(data.map(BigInt)) : Float32Array.from(data)
      const tensor = { name, datatype, shape: [1, data.length], data: array }
      return backend.run(new Map([[name, tensor]]), { deadline: Deadline.none(systemClock), outputs: undefined })
    }
    ${text}`
  return promisify(execFile)(process.execPath, ['--input-type=module', '--eval', source])
}

describe('a process with ONNX versions', () => {
  it('prints nothing, whatever fails', async () => {
    const broken = models.buildModel({
      inputs: [models.value('x', 'FP32', ['rows'])],
      outputs: [models.value('y', 'FP32', [7])],
      nodes: [models.node('Nonsense', ['x'], ['y'])],
    })
    const { stdout, stderr } = await script(
      [models.failingModel(), broken, new Uint8Array(9)],
      `
      const backend = await load(0)
      const codes = []
      for (const failing of [() => run(backend, 99), () => run(backend, 1, 2), () => load(1), () => load(2)])
        await failing().catch(({ code }) => codes.push(code))
      await onnx.close()
      console.log(codes.join())`,
    )
    expect(stdout).toBe('ONNX_VALUES_REFUSED,ONNX_INPUT_REFUSED,ONNX_MODEL_REFUSED,ONNX_FILE_CORRUPT\n')
    expect(stderr).toBe('')
  })

  it('ends by itself when nothing runs, although versions are loaded and threads wait', async () => {
    const { stdout } = await script(
      [models.slowModel(20), models.linearModel([1])],
      `await load(0); await load(1); console.log('end of the script')`,
    )
    expect(stdout).toBe('end of the script\n')
  })

  it('waits for a run under way before it ends, and closes in mid-run without aborting', async () => {
    const { stdout } = await script(
      [models.slowModel(150)],
      `
      const backend = await load(0)
      run(backend, 1, 2, 3, 4).then(() => console.log('ran'))
      await onnx.close()
      console.log('closed')`,
    )
    expect(stdout).toBe('ran\nclosed\n')
    const left = await script(
      [models.slowModel(150)],
      `const backend = await load(0); run(backend, 1, 2, 3, 4).then(() => console.log('ran'))`,
    )
    expect(left.stdout).toBe('ran\n')
  })

  it('loads ONNX Runtime only with the first version', async () => {
    const { stdout } = await script(
      [models.linearModel([1])],
      `
      const { createRequire } = await import('node:module')
      const isLoaded = () => Object.keys(createRequire('${DIST}').cache).some((file) => file.includes('onnxruntime'))
      const before = isLoaded()
      await load(0)
      console.log(before, isLoaded())`,
    )
    expect(stdout).toBe('false true\n')
  })
})
