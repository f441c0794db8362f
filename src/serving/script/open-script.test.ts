import { describe, expect, it } from 'vitest'
import { scriptArtifact } from '../../../test/support/script-artifact.js'
import { compileFile, evaluate } from './compile.js'
import type { ScriptFailure } from './failure.js'
import { OpenScript } from './open-script.js'

async function open(source: string): Promise<OpenScript> {
  const { file, digest } = scriptArtifact(source)
  return new OpenScript(await evaluate(await compileFile(file, digest), file), file)
}

async function refusal(promise: Promise<unknown>): Promise<object> {
  return promise.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: ScriptFailure) => error.failure,
  )
}

const X = [{ shape: [1], data: Float32Array.of(1) }]

describe('what a script answers', () => {
  it.each([
    ['{ }', 'y', 'a number is needed, not undefined'],
    ['null', 'y', 'an object with an entry for each output is needed, not null'],
    ['{ y: "7", z: [1, 2] }', 'y', 'a number is needed, not "7"'],
    ['{ y: 1, z: [1] }', 'z', '2 values are needed for a row, not [1]'],
    ['{ y: 1, z: 5 }', 'z', '2 values are needed for a row, not 5'],
    ['{ y: 1, z: [1, 2.5] }', 'z', 'a whole number from -128 to 127 is needed, not 2.5'],
    ['{ y: 1, z: [1, 200] }', 'z', 'a whole number from -128 to 127 is needed, not 200'],
  ])('%s for a row is refused', async (answer, output, problem) => {
    const opened = await open(
      `export default { inputs: { x: 'FP32' }, outputs: { y: 'FP32', z: { datatype: 'INT8', shape: [-1, 2] } }, row: () => (${answer}) }`,
    )
    expect(await refusal(opened.run(X, undefined))).toEqual({ key: 'OUTPUT_INVALID', params: { output, problem } })
  })

  it.each([
    ['{ y: [1] }', 'an array for FP32 is needed, not [1]'],
    ['{ y: new Float32Array(2) }', '1 elements are needed for its shape [1], not 2'],
    ['{ y: { shape: [2], data: new Float32Array(2) } }', '1 rows are needed, not 2'],
    ['{ y: { shape: [1, 1], data: new Float32Array(1) } }', 'its shape [1,1] does not fit [-1]'],
  ])('%s for a batch is refused', async (answer, problem) => {
    const opened = await open(
      `export default { inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, run: () => (${answer}) }`,
    )
    const failure = { key: 'OUTPUT_INVALID', params: { output: 'y', problem } }
    expect(await refusal(opened.run(X, undefined))).toEqual(failure)
  })
})

describe('a script that is evaluated', () => {
  const terms = `inputs: { x: 'FP32' }, outputs: { y: 'FP32' }`
  it.each([
    ['const x = ;', 'Unexpected token'],
    ['throw new Error("not today")', 'not today (line 1)'],
    ['export const rule = 1', 'it has the unknown key "rule"'],
    ['export default 7', 'its default export is 7. Write "export default defineScript({ … })"'],
    ['export default {}', '"inputs" is undefined'],
    ['export default { inputs: {}, outputs: {} }', '"inputs" names no tensor'],
    [`export default { ${terms} }`, 'either "row", for one row, or "run", for a batch'],
    [`export default { ${terms}, row() {}, run() {} }`, 'either "row", for one row, or "run", for a batch'],
    [`export default { ${terms}, row: 1 }`, '"row" must be a function, not 1'],
    [`export default { ${terms}, row() {}, timeoutMs: 0 }`, '"timeoutMs" must be a number of milliseconds'],
    [`export default { ${terms}, row() {}, labels: [1] }`, '"labels" must be a list of names, not [1]'],
    [
      `export default { inputs: { x: 'FLOAT' }, outputs: {}, row() {} }`,
      '"x" has the datatype "FLOAT"; there are BOOL',
    ],
    [`export default { inputs: { x: { datatype: 'FP32', shape: [0] } }, outputs: {}, row() {} }`, 'the shape [0]'],
    [
      `export default { inputs: { x: { datatype: 'FP32', shape: [4] } }, outputs: { y: 'FP32' }, row() {} }`,
      '"row" needs shapes whose first size is -1',
    ],
    [
      `export default { inputs: { x: 'FP16' }, outputs: { y: 'FP32' }, row() {} }`,
      'the datatype FP16 of "x"; write "run"',
    ],
    [
      `export default { inputs: { x: 'FP32' }, outputs: { y: { datatype: 'FP32', shape: [-1, -1] } }, row() {} }`,
      'size of its output "y"',
    ],
    [
      `export default { inputs: { x: { datatype: 'FP32', shape: [-1, 3], columns: ['a'] } }, outputs: { y: 'FP32' }, row() {} }`,
      'must be [-1, 1], not [-1,3]',
    ],
    [`import { x } from './rules.js'\nexport default x`, 'it imports "./rules.js", which its digest does not cover'],
    [`import zod from 'zod'\nexport default zod`, 'it imports "zod"'],
  ])('is refused: %j', async (source, message) => {
    const failure = await refusal(open(source))
    expect(failure).toEqual({ key: 'INVALID', params: { reason: expect.stringContaining(message) } })
  })

  it('is refused an import in the middle of a run too', async () => {
    const opened = await open(
      `export default { ${terms}, async row({ x }) { return { y: x + (await import('./later.js')).value } } }`,
    )
    const reason = expect.stringContaining('it imports "./later.js"')
    expect(await refusal(opened.run(X, undefined))).toEqual({ key: 'RUN_FAILED', params: { reason } })
  })
})
