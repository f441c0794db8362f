// Default exports of scikit-learn, XGBoost and LightGBM, as their users make them, against what those libraries answer.
// Every pair in test/fixtures/exports is found by itself; make_exports.py there makes them.
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { tensors } from '../../../test/support/fake-backend.js'
import { onnxArtifact } from '../../../test/support/onnx-artifact.js'
import { systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { Tensor } from '../../tensor/index.js'
import { createOnnxBackends } from './create-onnx-backends.js'

interface Expected {
  readonly tolerance: number
  readonly inputs: readonly (readonly number[])[]
  readonly label?: readonly (number | string)[]
  readonly probabilities?: readonly (readonly number[])[]
  readonly values?: readonly number[]
}

const FOLDER = new URL('../../../test/fixtures/exports/', import.meta.url)
const names = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.onnx'))
  .map((file) => file.slice(0, -5))

const platform = testPlatform()
const context = { deadline: Deadline.none(systemClock), outputs: undefined }
const onnx = createOnnxBackends({ threads: 2 })
afterAll(() => onnx.close())

describe('default exports', () => {
  it('are there', () => {
    expect(names.length).toBeGreaterThanOrEqual(9)
  })

  describe.each(names)('%s', (name) => {
    const expected: Expected = JSON.parse(readFileSync(new URL(`${name}.expected.json`, FOLDER), 'utf8'))
    const bytes = readFileSync(new URL(`${name}.onnx`, FOLDER))

    it.each(['inline', 'thread'] as const)(
      'answers as its library does, %s, all rows at once or one by one',
      async (isolation) => {
        const backend = await onnx.load(onnxArtifact(bytes, { manifest: { isolation } }), { platform })
        expect(backend.notBatchedBecause).toBeUndefined()
        const [input] = backend.signature.inputs
        const run = async (rows: readonly (readonly number[])[]) => {
          const shape = [rows.length, rows[0]!.length]
          const data = Float32Array.from(rows.flat())
          return backend.run(tensors({ name: input!.name, datatype: 'FP32', shape, data }), context)
        }
        expectMatch([...(await run(expected.inputs)).values()], expected, 0)
        for (let row = 0; row < expected.inputs.length; row++) {
          expectMatch([...(await run([expected.inputs[row]!])).values()], expected, row)
        }
        await backend.close()
      },
    )
  })
})

/** Outputs of the rows from `first` on; they stand in the order label, then probabilities or values. */
function expectMatch(outputs: readonly Tensor[], expected: Expected, first: number): void {
  const { label, probabilities, values, tolerance } = expected
  const rows = outputs[0]!.shape[0]!
  const slice = <T>(all: readonly T[]) => all.slice(first, first + rows)
  if (label) {
    expect(elements(outputs[0]!)).toEqual(slice(label))
  }
  const numbers = slice<number | readonly number[]>(probabilities ?? values!).flat()
  const actual = elements(outputs.at(-1)!) as number[]
  expect(actual.length).toBe(numbers.length)
  for (const [i, number] of numbers.entries()) expect(Math.abs(actual[i]! - number)).toBeLessThanOrEqual(tolerance)
}

function elements({ data }: Tensor): (number | string)[] {
  return Array.isArray(data) ? data.map(String) : Array.from(data as ArrayLike<number | bigint>, Number)
}
