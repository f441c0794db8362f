import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { type HeadraceError, testPlatform } from '../core/index.js'
import { Intake, LARGE_BODY_BYTES } from './intake.js'

const MiB = 1024 * 1024

function intake(maxBytes: number): Intake {
  return new Intake({ platform: testPlatform(), maxBytes, stallMs: 1000 })
}

function refusal(work: () => void): HeadraceError | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error as HeadraceError
  }
}

describe('the intake', () => {
  it('takes bodies up to its limit, and more when room is given back', () => {
    const bodies = intake(250)
    bodies.take(100)
    bodies.take(100)
    expect(refusal(() => bodies.take(51))).toMatchObject({
      code: 'HTTP_BODIES_FULL',
      status: 429,
      params: { sizeBytes: 51, heldBytes: 200, limitBytes: 250, retryAfterMs: 1000 },
    })
    expect(bodies.heldBytes).toBe(200)
    bodies.give(100)
    bodies.take(51)
    expect(bodies.heldBytes).toBe(151)
  })

  it('keeps an eighth for small bodies', () => {
    const bodies = intake(8 * MiB)
    bodies.take(6 * MiB)
    expect(refusal(() => bodies.take(MiB + 1))).toMatchObject({ code: 'HTTP_BODIES_FULL' })
    bodies.take(MiB)
    for (let size = 0; size < MiB; size += LARGE_BODY_BYTES) bodies.take(LARGE_BODY_BYTES)
    expect(bodies.heldBytes).toBe(8 * MiB)
    expect(refusal(() => bodies.take(1))).toMatchObject({ code: 'HTTP_BODIES_FULL' })
  })

  it('takes a body larger than its limit when nothing else is held, and lets it grow', () => {
    const bodies = intake(MiB)
    bodies.take(2 * MiB)
    bodies.take(MiB, 2 * MiB)
    expect(bodies.heldBytes).toBe(3 * MiB)
  })

  it('refuses a growing body by its whole size', () => {
    const bodies = intake(8 * MiB)
    bodies.take(MiB)
    bodies.take(64 * 1024)
    // Its first 64 KiB were those of a small body.
    expect(refusal(() => bodies.take(7 * MiB, 64 * 1024))).toMatchObject({
      params: { sizeBytes: 7 * MiB + 64 * 1024, heldBytes: MiB, limitBytes: 7 * MiB },
    })
  })

  it('counts a large reply until its client has read it, and closes the connection of one that stops reading', () => {
    const bodies = intake(MiB)
    let stall: (() => void) | undefined
    const events = new EventEmitter()
    const response = {
      closed: false,
      once: events.once.bind(events),
      setTimeout(_: number, callback: () => void) {
        stall = callback
      },
      destroy: () => events.emit('close'),
    }
    bodies.holdReply(response as unknown as ServerResponse, LARGE_BODY_BYTES)
    expect(bodies.heldBytes).toBe(0)
    bodies.holdReply(response as unknown as ServerResponse, 300_000)
    expect(bodies.heldBytes).toBe(300_000)
    stall!()
    expect(bodies.heldBytes).toBe(0)
  })
})
