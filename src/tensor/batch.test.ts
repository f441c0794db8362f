import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canConcatenate, concatenateRows, RowsInPieces, sliceRows } from './batch.js'
import { allocate, DATATYPES, type DataType } from './datatype.js'
import { elementCount, type Tensor } from './tensor.js'

/** Tensors of one datatype that differ in rows only, filled with distinct values. */
const family = fc
  .record({
    datatype: fc.constantFrom(...DATATYPES),
    rows: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }),
    inner: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
  })
  .map(({ datatype, rows, inner }) => {
    let next = 0
    return rows.map((count) => fill(datatype, [count, ...inner], () => next++))
  })

function fill(datatype: DataType, shape: number[], next: () => number): Tensor {
  const data = allocate(datatype, elementCount(shape))
  for (let i = 0; i < data.length; i++) {
    const value = next()
    if (Array.isArray(data)) data[i] = Buffer.from(String(value))
    else if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(value)
    else data[i] = value
  }
  return { name: 'x', datatype, shape, data }
}

describe('concatenateRows and sliceRows', () => {
  it('undo each other for every datatype and shape', () => {
    fc.assert(
      fc.property(family, (parts) => {
        const joined = concatenateRows(parts)
        const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0)
        expect(joined.shape).toEqual([rows, ...parts[0]!.shape.slice(1)])
        // The slow obvious version: every element of every part, in order.
        expect([...joined.data]).toEqual(parts.flatMap((part) => [...part.data]))
        let start = 0
        for (const part of parts) {
          expect(sliceRows(joined, start, part.shape[0]!)).toEqual(part)
          start += part.shape[0]!
        }
      }),
    )
  })

  it('hand a single tensor back as it is and cut rows without copying', () => {
    const tensor = fill('FP32', [4, 2], () => 1)
    expect(concatenateRows([tensor])).toBe(tensor)
    const rows = sliceRows(tensor, 1, 2)
    expect((rows.data as Float32Array).buffer).toBe((tensor.data as Float32Array).buffer)
    const texts = fill('BYTES', [2, 1], () => 1)
    expect((sliceRows(texts, 1, 1).data as Buffer[])[0]).toBe((texts.data as Buffer[])[1])
  })
})

describe('canConcatenate', () => {
  const tensor = (datatype: DataType, shape: number[]): Tensor => fill(datatype, shape, () => 0)

  it('says yes when tensors differ in rows only', () => {
    expect(canConcatenate([tensor('FP32', [1, 2, 3]), tensor('FP32', [5, 2, 3])])).toBe(true)
    expect(canConcatenate([tensor('FP32', [1])])).toBe(true)
  })

  it('says no to another size, rank or datatype', () => {
    expect(canConcatenate([tensor('FP32', [1, 2, 3]), tensor('FP32', [1, 3, 2])])).toBe(false)
    expect(canConcatenate([tensor('FP32', [1, 2]), tensor('FP32', [1, 2, 1])])).toBe(false)
    expect(canConcatenate([tensor('FP32', [1]), tensor('FP64', [1])])).toBe(false)
  })
})

describe('RowsInPieces', () => {
  it('is what concatenateRows makes, whatever the order of the pieces', () => {
    fc.assert(
      fc.property(family, fc.infiniteStream(fc.nat()), (parts, order) => {
        let rows = 0
        const placed = parts.map((part) => {
          const start = rows
          rows += part.shape[0]!
          return { part, start, order: order.next().value as number }
        })
        const pieces = new RowsInPieces(parts[0]!, rows)
        for (const { part, start } of placed.sort((a, b) => a.order - b.order))
          expect(pieces.put(part, start, part.shape[0]!)).toBe(true)
        expect(pieces.tensor).toEqual(concatenateRows(parts))
      }),
    )
  })

  it('takes no piece with other rows, another width or another datatype', () => {
    const first = fill('FP32', [2, 3], () => 1)
    const pieces = new RowsInPieces(first, 4)
    expect(
      pieces.put(
        fill('FP32', [1, 3], () => 1),
        0,
        2,
      ),
    ).toBe(false)
    expect(
      pieces.put(
        fill('FP32', [2, 2], () => 1),
        0,
        2,
      ),
    ).toBe(false)
    expect(
      pieces.put(
        fill('FP64', [2, 3], () => 1),
        0,
        2,
      ),
    ).toBe(false)
    expect(pieces.put({ ...first, data: first.data.slice(1) as Float32Array }, 0, 2)).toBe(false)
    expect(pieces.put(first, 2, 2)).toBe(true)
  })
})
