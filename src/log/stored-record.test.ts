import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeTensors } from './encode-tensors.js'
import { parseRecord } from './stored-record.js'
import type { StoredPrediction } from './types.js'

const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 53n) - 3n, max: -(2n ** 53n) + 3n }),
  fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 3n }),
  fc.bigInt({ min: -9n, max: 9n }),
)

function read(inputs: string, outputs: string): StoredPrediction {
  const line = `{"seq":1,"kind":"prediction","payload":{"weight":1,"inputs":${inputs},"outputs":[{"call":0,"tensors":${outputs}}]}}`
  const bytes = Buffer.from(line)
  return parseRecord(bytes, 0, bytes.length) as StoredPrediction
}

const isSafe = (value: bigint) => Number.isSafeInteger(Number(value))
const told = (values: readonly bigint[]) => values.map((value) => (isSafe(value) ? Number(value) : String(value)))

describe('a stored record', () => {
  it('has 64-bit integers exactly: as text beyond 2^53, wherever they came from', () => {
    fc.assert(
      fc.property(fc.array(int64, { minLength: 1 }), fc.string(), (values, name) => {
        const shape = [values.length]
        const raw = `[ {"shape":[${shape}], "name":${JSON.stringify(name)},"datatype" : "INT64","data":[[ ${values.join(' , ')} ]]} ]`
        const typed = encodeTensors(
          new Map([['y', { name: 'y', datatype: 'INT64', shape, data: BigInt64Array.from(values) }]]),
        )
        const { payload } = read(raw, typed)
        expect(payload!.inputs).toEqual([{ name, datatype: 'INT64', shape, data: told(values) }])
        expect(payload!.outputs[0]!.tensors[0]!.data).toEqual(told(values))
      }),
    )
    const large = encodeTensors(
      new Map([['u', { name: 'u', datatype: 'UINT64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) }]]),
    )
    expect(read('[]', large).payload!.outputs[0]!.tensors[0]!.data).toEqual(['18446744073709551615'])
  })

  it('leaves every other number a number, and text as it is', () => {
    const long = '12345678901234567890'
    const text = `say \\"${long}\\", ${long}`
    const inputs = `[{"name":"f","datatype":"FP64","shape":[4],"data":[${long},0.${long},1${long}.5,1e20]},
      {"name":"s","datatype":"BYTES","shape":[1],"data":["${text}"]},
      {"name":"given as text","datatype":"INT64","shape":[3],"data":["9007199254740993",${long},null]}]`
    expect(read(inputs, '[]').payload!.inputs.map(({ data }) => data)).toEqual([
      [Number(long), Number(`0.${long}`), Number(`1${long}.5`), 1e20],
      [`say "${long}", ${long}`],
      ['9007199254740993', long, null],
    ])
  })
})
