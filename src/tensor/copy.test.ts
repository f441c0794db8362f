import { describe, expect, it } from 'vitest'
import { copyData } from './copy.js'

describe('copyData', () => {
  it.each([0, 3, 500_000, 1_000_001])('copies %i elements into memory of their own', async (length) => {
    const large = Float32Array.from({ length: length + 1 }, (_, i) => i / 3).subarray(1)
    const copy = await copyData(large)
    expect(copy).toBeInstanceOf(Float32Array)
    expect(copy.byteLength).toBe(copy.buffer.byteLength)
    expect(copy.buffer).not.toBe(large.buffer)
    expect(Buffer.compare(Buffer.from(copy.buffer), Buffer.from(large.slice().buffer))).toBe(0)
  })

  it('lets other work in between the slices of a large copy', async () => {
    let turns = 0
    const count = () => {
      turns++
      timer = setImmediate(count)
    }
    let timer = setImmediate(count)
    await copyData(new BigInt64Array(1024 * 1024))
    clearImmediate(timer)
    expect(turns).toBeGreaterThanOrEqual(7)
  })
})
