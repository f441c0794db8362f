import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Frames } from './frames.js'

function framed(message: Uint8Array, isCompressed = false): Buffer {
  const head = Buffer.alloc(5)
  head[0] = isCompressed ? 1 : 0
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

describe('Frames', () => {
  it('gives whole messages however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.boolean()), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
        (messages, cuts) => {
          const bytes = Buffer.concat(messages.map(([message, isCompressed]) => framed(message, isCompressed)))
          const frames = new Frames(1000)
          const read: [Buffer, boolean][] = []
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const end = at + cuts[i % cuts.length]!
            frames.push(bytes.subarray(at, end))
            at = end
            for (let frame = frames.next(); frame; frame = frames.next())
              read.push([Buffer.from(frame.message), frame.isCompressed])
          }
          expect(read).toEqual(messages.map(([message, isCompressed]) => [Buffer.from(message), isCompressed]))
          expect(frames.isEmpty).toBe(true)
        },
      ),
    )
  })

  it('joins a large message and keeps what follows it', () => {
    const large = Buffer.alloc(500_000, 7)
    const bytes = Buffer.concat([framed(large), framed(Buffer.from('next'))])
    const frames = new Frames(1_000_000)
    const read: string[] = []
    for (let at = 0; at < bytes.length; at += 16_384) {
      frames.push(bytes.subarray(at, at + 16_384))
      for (let frame = frames.next(); frame; frame = frames.next())
        read.push(frame.message.equals(large) ? 'large' : frame.message.toString())
    }
    expect(read).toEqual(['large', 'next'])
  })

  it('refuses a message over the limit by its length alone', () => {
    const frames = new Frames(1000)
    frames.push(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]))
    expect(() => frames.next()).toThrow(expect.objectContaining({ code: 'HTTP_BODY_TOO_LARGE' }))
  })
})
