// The contrast of every pair of colours that text is set in, computed as WCAG 2 says, in light and dark.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const css = readFileSync(new URL('../../console/src/styles.css', import.meta.url), 'utf8')

function paletteOf(block: string): Readonly<Record<string, string>> {
  return Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map(([, name, value]) => [name, value]))
}

const blocks = [...css.matchAll(/:root[^{]*\{([^}]*--page[^}]*)\}/g)].map(([, block]) => paletteOf(block!))
const [light, system, chosen] = blocks

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (high! + 0.05) / (low! + 0.05)
}

const PAIRS = [
  ...['page', 'surface', 'raised'].flatMap((ground) => ['text', 'muted', 'accent'].map((ink) => [ink, ground])),
  ...['page', 'surface'].flatMap((ground) => ['ok', 'warn', 'bad'].map((ink) => [ink, ground])),
  ...['ok', 'warn', 'bad', 'accent'].map((tone) => [tone, `${tone}-soft`]),
  ['text', 'accent-soft'],
  ['muted', 'accent-soft'],
  ['on-accent', 'accent'],
] as const

describe('the palette', () => {
  it('is the same in the dark whether the system or a person chose it', () => {
    expect(blocks).toHaveLength(3)
    expect(system).toEqual(chosen)
    expect(Object.keys(light!).sort()).toEqual(Object.keys(chosen!).sort())
  })

  it.each([
    ['light', light!],
    ['dark', chosen!],
  ])('has text of a contrast of 4.5 and lines of 3 in the %s', (_, palette) => {
    const weak = PAIRS.map(
      ([ink, ground]) => [ink, ground, contrast(palette[ink!]!, palette[ground!]!)] as const,
    ).filter(([, , ratio]) => ratio < 4.5)
    expect(weak).toEqual([])
    for (const line of ['chart-1', 'chart-2', 'chart-3', 'bad'])
      expect(contrast(palette[line]!, palette['surface']!)).toBeGreaterThan(3)
  })
})
