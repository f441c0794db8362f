// The rules are what Prometheus itself accepts, and ask for metrics that we have.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const folder = fileURLToPath(new URL('../../deploy/prometheus/', import.meta.url))
const files = readdirSync(folder).filter((name) => name.endsWith('.rules.yml'))
const hasPromtool = spawnSync('promtool', ['--version']).status === 0

describe.each(files)('deploy/prometheus/%s', (file) => {
  it('is valid', ({ skip }) => {
    if (!hasPromtool) skip('promtool is not installed (Debian has it in "prometheus")')
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', `${folder}${file}`], {
      encoding: 'utf8',
    })
    expect([status, stdout, stderr]).toEqual([0, expect.stringContaining('SUCCESS'), ''])
  })

  it('names only metrics that the source has', () => {
    const text = readFileSync(`${folder}${file}`, 'utf8')
    const sources = readdirSync(fileURLToPath(new URL('../../src/', import.meta.url)), {
      recursive: true,
      encoding: 'utf8',
    })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => readFileSync(new URL(`../../src/${name}`, import.meta.url), 'utf8'))
      .join('\n')
    const metrics = new Set(text.match(/\bml_[a-z_]+/g))
    expect([...metrics].filter((name) => !sources.includes(`'${name}'`))).toEqual([])
  })
})
