// The shop's demos as short as they can be, and without a terminal.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { LONG, ROOT, startNode } from './support.js'

it('breaks the shop under load, and its users go on being answered', LONG, async () => {
  const demo = join(ROOT, 'examples/shop/demo/chaos.ts')
  const args = ['--import', 'tsx', demo, '--plain', '--seconds', '9', '--users', '3']
  const { status, stdout, stderr } = await startNode(args, ROOT).finished
  expect(stderr).toBe('')
  expect(stdout).toMatch(/ {2}fraud \d+\/s p99 \d+ ms .* \| fraud-screen .* \| product-ranking /)
  for (const act of ['fraud/2 takes 400 ms longer', 'a worker process is killed', 'the disk is full'])
    expect(stdout).toContain(`--- ${act}\n`)
  // Its users give what versions 1 and 2 take, no entity that version 3 needs.
  expect(stdout).toMatch(/^fraud .*v2 instead \d+/m)
  expect(stdout).toMatch(/^fraud .*v1 instead \d+/m)
  expect(stdout).toMatch(/^product-ranking .*cached \d+/m)
  expect(stdout).toMatch(/^fraud-screen spent \d+ µs of model time; not asking fraud\/2 saved \d+ µs/m)
  const [, answered, asked] = /^(\d+) of (\d+) requests were answered/m.exec(stdout)!
  expect(Number(asked)).toBeGreaterThan(100)
  const share = Number(answered) / Number(asked)
  // A machine that is busy with other tests may keep somebody waiting for too long; what was broken may not.
  expect(share).toBeGreaterThan(0.97)
  expect(status).toBe(share >= 0.999 ? 0 : 1)
})

it('releases a better version step by step, and takes a broken one back by a guard', LONG, async () => {
  const demo = join(ROOT, 'examples/shop/demo/release.ts')
  const args = ['--import', 'tsx', demo, '--plain', '--exit', '--time-scale', '3600']
  const { status, stdout, stderr } = await startNode(args, ROOT).finished
  expect(stderr).toBe('')
  expect(stdout).toContain('the time of a release passes 3600 times faster')
  for (const step of ['canary 5 % for 2h', 'canary 25 % for 2h', 'canary 100 % for 30m'])
    expect(stdout).toContain(`release  Went on to ${step}`)
  expect(stdout).toContain('✓ Version 2 has all traffic.')
  expect(stdout).toMatch(/^ {2}\d+ payments, 0 without an answer; \d+ people had version 2,\n {2}0 of them were given/m)
  expect(stdout).toContain('✓ Version 4 was taken back by a guard, and by nobody else.')
  const [, evidence] = /^ {2}evidence {3}e-value ([\d.e+]+); it fails at 200,/m.exec(stdout)!
  expect(Number(evidence)).toBeGreaterThanOrEqual(200)
  expect(stdout).toMatch(/^ {2}since {6}(\d+) payments in 3 s: version 2 answered \1, version 4 0, 0 failed$/m)
  expect(stdout).toMatch(/see it on http:\/\/127\.0\.0\.1:\d+\/console\/releases\/[\w-]+\n/)
  expect(status).toBe(0)
})
