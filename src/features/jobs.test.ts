import { describe, expect, it } from 'vitest'
import { ManualClock, testPlatform } from '../core/index.js'
import { FeatureErrors } from './errors.js'
import { type JobControl, Jobs } from './jobs.js'

const jobsAt = (clock = new ManualClock(1000)) => new Jobs(testPlatform({ clock }))
const settled = async (jobs: Jobs, id: string) => {
  while (jobs.get(id).state === 'running') await Promise.resolve()
  return jobs.get(id)
}

describe('Jobs', () => {
  it('keeps the result of a job that is done, and its progress on the way', async () => {
    const jobs = jobsAt()
    let control!: JobControl
    let finish!: (result: unknown) => void
    const { id, state } = jobs.start('training-set', 'fraud', (given) => {
      control = given
      return new Promise((resolve) => {
        finish = resolve
      })
    })
    expect(state).toBe('running')
    await Promise.resolve()
    control.progress('joining', 5, 10)
    expect(jobs.get(id).progress).toEqual({ step: 'joining', done: 5, total: 10 })
    finish({ rows: 10 })
    expect(await settled(jobs, id)).toMatchObject({ state: 'done', result: { rows: 10 }, endedMs: 1000 })
  })

  it('keeps the error of one that failed, with its code', async () => {
    const jobs = jobsAt()
    const { id } = jobs.start('materialise', 'x', async () => {
      throw FeatureErrors.VIEW_UNKNOWN({ view: 'x', known: '' })
    })
    expect(await settled(jobs, id)).toMatchObject({ state: 'failed', error: { code: 'FEATURE_VIEW_UNKNOWN' } })
  })

  it('aborts one that is cancelled and waits for its end', async () => {
    const jobs = jobsAt()
    const waiting = ({ signal }: JobControl) =>
      new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    const { id } = jobs.start('verify', 'x', waiting)
    await Promise.resolve()
    expect(await jobs.cancel(id)).toMatchObject({ state: 'cancelled', error: { code: 'FEATURE_JOB_CANCELLED' } })
    expect(await jobs.cancel(id)).toMatchObject({ state: 'cancelled' })
  })

  it('refuses a ninth job at once, and forgets old ones but none that runs', async () => {
    const jobs = jobsAt()
    for (let i = 0; i < 7; i++) jobs.start('infer', 'x', () => new Promise(() => {}))
    for (let i = 0; i < 150; i++) await settled(jobs, jobs.start('infer', 'y', async () => i).id)
    expect(jobs.list()).toHaveLength(100)
    expect(jobs.list().filter(({ state }) => state === 'running')).toHaveLength(7)
    jobs.start('infer', 'x', () => new Promise(() => {}))
    expect(() => jobs.start('infer', 'x', async () => 1)).toThrow(
      expect.objectContaining({ code: 'FEATURE_JOBS_TOO_MANY' }),
    )
    expect(() => jobs.get('nothing')).toThrow(expect.objectContaining({ code: 'FEATURE_JOB_UNKNOWN' }))
  })
})
