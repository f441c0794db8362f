import { randomBytes } from 'node:crypto'
import { deflateRawSync, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { createPlatform } from '../core/index.js'
import { acceptedEncoding, compress, contentEncoding, inflate } from './compression.js'
import { Intake } from './intake.js'

const MiB = 1024 * 1024
let intake: Intake

beforeEach(() => {
  intake = new Intake({ platform: createPlatform(), maxBytes: 64 * MiB, stallMs: 1000 })
})

const inflated = (body: Uint8Array, limitBytes = 64 * MiB, alignAt = 0) =>
  inflate(body, 'gzip', { limitBytes, intake, alignAt })

describe('inflate', () => {
  it('gives back what was compressed by gzip, zlib or bare deflate, and the intake holds it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.nat(20), async (bytes, alignAt) => {
        for (const [encoding, compressor] of [
          ['gzip', gzipSync],
          ['deflate', deflateSync],
          ['deflate', deflateRawSync],
        ] as const) {
          const before = intake.heldBytes
          const body = await inflate(compressor(bytes), encoding, { limitBytes: 5000, intake, alignAt })
          expect(Buffer.compare(body, bytes)).toBe(0)
          expect(intake.heldBytes - before).toBe(bytes.length)
          expect((body.byteOffset + alignAt) % 8).toBe(0)
        }
      }),
    )
  })

  it('gives back megabytes', async () => {
    const bytes = randomBytes(5 * MiB)
    expect(Buffer.compare(await inflated(gzipSync(bytes, { level: 1 })), bytes)).toBe(0)
  })

  it('stops at the limit of bodies', async () => {
    await expect(inflated(gzipSync(randomBytes(3 * MiB), { level: 1 }), 2 * MiB)).rejects.toMatchObject({
      code: 'HTTP_BODY_TOO_LARGE',
    })
    expect(intake.heldBytes).toBe(0)
  })

  it('takes any ratio up to 8 MiB, and beyond it no more than 200 : 1', async () => {
    expect(await inflated(gzipSync(Buffer.alloc(8 * MiB)))).toHaveLength(8 * MiB)
    intake.give(8 * MiB)
    await expect(inflated(gzipSync(Buffer.alloc(9 * MiB)))).rejects.toMatchObject({
      code: 'HTTP_COMPRESSED_TOO_MUCH',
      status: 413,
    })
    expect(intake.heldBytes).toBe(0)
  })

  it('stops when other bodies leave no room', async () => {
    intake.take(60 * MiB)
    await expect(inflated(gzipSync(randomBytes(6 * MiB), { level: 1 }))).rejects.toMatchObject({
      code: 'HTTP_BODIES_FULL',
    })
    expect(intake.heldBytes).toBe(60 * MiB)
  })
})

describe('compress', () => {
  it('writes parts one after the other', async () => {
    const parts = ['é', randomBytes(300_000), Buffer.from('end')]
    const whole = Buffer.concat(parts.map((part) => Buffer.from(part as string)))
    expect(gunzipSync(Buffer.concat(await compress(parts, 'gzip'))).equals(whole)).toBe(true)
    expect(inflateSync(Buffer.concat(await compress(parts, 'deflate'))).equals(whole)).toBe(true)
  })
})

describe('the encodings that headers name', () => {
  it('never make reading them fail', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        expect(['gzip', 'deflate', undefined]).toContain(acceptedEncoding(header))
        try {
          contentEncoding(header)
        } catch (error) {
          expect(error).toMatchObject({ code: 'HTTP_CONTENT_ENCODING' })
        }
      }),
    )
  })

  it.each([
    ['gzip;q=1.0, identity; q=0.5, *;q=0', 'gzip'],
    ['deflate, gzip;q=0.9', 'deflate'],
    ['identity, gzip', 'gzip'],
    ['*;q=0.1, gzip;q=0', 'deflate'],
    ['*;q=0', undefined],
    ['gzip;q=0.4, deflate;q=0.3, identity;q=0.5', undefined],
  ])('are weighed: %s', (header, encoding) => {
    expect(acceptedEncoding(header)).toBe(encoding)
  })
})
