// The shop's two hundred demand models, in memory for forty.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../support/temp-folder.js'
import { LONG, ROOT, SHOP, startServe } from './support.js'

interface Parity {
  readonly tolerance: number
  readonly models: readonly {
    readonly model: string
    readonly rows: readonly Readonly<Record<string, number>>[]
    readonly units: readonly number[]
  }[]
}

interface Stats {
  readonly model_stats: readonly {
    readonly name: string
    readonly memory_usage: readonly { readonly byte_size: number }[]
  }[]
}

const parity = JSON.parse(readFileSync(join(ROOT, 'test/fixtures/parity/demand.json'), 'utf8')) as Parity

describe("the shop's demand models", LONG, () => {
  it('all answer as scikit-learn did, while no more than forty are in memory', async () => {
    expect(parity.models).toHaveLength(200)
    const folder = tempFolder()
    const { url, stop } = await startServe(folder, SHOP, '--data-dir', join(folder, 'data'), '--log-level', 'error')
    const wrong: string[] = []

    async function ask({ model, rows, units }: Parity['models'][number]): Promise<void> {
      const response = await fetch(`${url}/api/v1/predict/${model}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ inputs: rows }),
      })
      const answer = (await response.json()) as { predictions?: { outputs: { units: number } }[] }
      for (const [row, expected] of units.entries()) {
        const got = answer.predictions?.[row]?.outputs.units ?? Number.NaN
        const isRight = Math.abs(got - expected) <= Math.abs(expected) * parity.tolerance + 0.01
        if (!isRight) wrong.push(`${model} row ${row}: ${JSON.stringify(answer)} for ${expected}`)
      }
    }

    async function inMemory(): Promise<number> {
      const { model_stats } = (await (await fetch(`${url}/v2/models/stats`)).json()) as Stats
      return model_stats.filter(
        ({ name, memory_usage }) => name.startsWith('demand-') && (memory_usage?.[0]?.byte_size ?? 0) > 0,
      ).length
    }

    try {
      expect(await inMemory()).toBe(0)
      const counts: number[] = []
      for (let from = 0; from < parity.models.length; from += 8) {
        await Promise.all(parity.models.slice(from, from + 8).map(ask))
        if (from % 40 === 0) counts.push(await inMemory())
      }
      counts.push(await inMemory())
      // The first ones again: they had to make room meanwhile.
      await Promise.all(parity.models.slice(0, 8).map(ask))
      expect(wrong).toEqual([])
      expect(Math.max(...counts)).toBeLessThanOrEqual(40)
      expect(Math.max(...counts)).toBeGreaterThanOrEqual(36)
    } finally {
      await stop()
    }
  })
})
