// What README.md says of the rules, and that they fit where the models stand.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import rule from '../models/fraud-rule/1/model.js'
import { createWorld } from './world.js'

const { payments } = createWorld({ seed: 7, sessions: 1, pages: 1 })
const heldOut = payments.slice(0.75 * payments.length)

async function fraudOf(features: object): Promise<number> {
  const { output_probability: probability } = await rule.row!(features as Parameters<NonNullable<typeof rule.row>>[0])
  return probability[1]!
}

it('finds 17.5 % of the frauds in the riskiest 2 % of the held-out payments, with an AUC of 0.741', async () => {
  const scored = await Promise.all(
    heldOut.map(async ({ features, is_fraud }) => ({ is_fraud, fraud: await fraudOf(features) })),
  )
  scored.sort((a, b) => b.fraud - a.fraud)
  const frauds = scored.filter(({ is_fraud }) => is_fraud === 1)
  const found = scored.slice(0, 0.02 * scored.length).filter(({ is_fraud }) => is_fraud === 1)
  expect(frauds).toHaveLength(315)
  expect(found.length / frauds.length).toBeCloseTo(0.175, 3)

  // The probability that a fraud scores above a payment that is none; equal scores count half.
  const others = scored.filter(({ is_fraud }) => is_fraud === 0)
  const scores = [...new Set(scored.map(({ fraud }) => fraud))]
  const count = (of: typeof scored, score: number) => of.filter(({ fraud }) => fraud === score).length
  let wins = 0
  for (const score of scores) {
    const below = scores.filter((other) => other < score).reduce((sum, other) => sum + count(others, other), 0)
    wins += count(frauds, score) * (below + count(others, score) / 2)
  }
  expect(wins / (frauds.length * others.length)).toBeCloseTo(0.741, 3)
})

it('takes the features of the models', () => {
  const { warmup } = JSON.parse(readFileSync(new URL('../models/fraud/2/model.json', import.meta.url), 'utf8')) as {
    warmup: { inputs: object }[]
  }
  expect(Object.keys(rule.inputs)).toEqual(Object.keys(warmup[0]!.inputs))
})
