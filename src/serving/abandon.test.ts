import { describe, expect, it } from 'vitest'
import { doublerInput, FakeBackend, fakeManifest, settled } from '../../test/support/fake-backend.js'
import { ManualClock, type ModelName, silentLogger, testPlatform } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import { Batcher } from './batcher.js'
import { createServingMetrics } from './metrics.js'
import type { LeafInput, RunContext } from './types.js'

class AbandonedBackend extends FakeBackend {
  readonly abandoned: RunContext[] = []
  joinsCalls = true
  abandon(run: RunContext): void {
    this.abandoned.push(run)
  }
}

function setUp(joinsCalls = true) {
  const clock = new ManualClock()
  const backend = new AbandonedBackend({ clock, concurrency: 8 })
  backend.joinsCalls = joinsCalls
  const version = { model: 'm' as ModelName, version: 1 }
  const batcher = new Batcher({
    version,
    backend,
    manifest: fakeManifest(),
    clock,
    logger: silentLogger,
    metrics: createServingMetrics(testPlatform().metrics).bind(version),
    defer: setImmediate,
    onReadiness: () => {},
  })
  const call = (input: LeafInput) => {
    batcher.call(input, Deadline.none(clock)).catch(() => undefined)
    return input
  }
  return { backend, batcher, call }
}

describe('a run under way', () => {
  it('is given up when all of its callers have gone away, and not before', async () => {
    const { backend, batcher, call } = setUp()
    const [first, second] = [call(doublerInput([[1]])), call(doublerInput([[2]]))]
    await settled()
    expect(backend.runs.map(({ rows }) => rows)).toEqual([2])
    first.cancelled = true
    batcher.dropCancelled()
    expect(backend.abandoned).toEqual([])
    second.cancelled = true
    batcher.dropCancelled()
    expect(backend.abandoned).toEqual([backend.runs[0]!.context])
  })

  it('is one call with its priority where the backend joins none', async () => {
    const { backend, call } = setUp(false)
    call({ ...doublerInput([[1]]), priority: 'high' })
    call({ ...doublerInput([[2]]), priority: 'low' })
    await settled()
    expect(backend.runs.map(({ rows, context }) => [rows, context.priority])).toEqual([
      [1, 'high'],
      [1, 'low'],
    ])
  })
})
