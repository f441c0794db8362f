// Inferred expectations as TypeScript that people edit.

import type { Inferred } from './infer.js'
import { counted, dateText } from './phrases.js'

/** A module that exports `<name>Expectations`; the same rows give the same text. */
export function expectationsModule(name: string, inferred: Inferred): string {
  const { rows, fromMs, toMs, expectations } = inferred
  const span = fromMs === null || toMs === null ? '' : `, ${dateText(fromMs, false)} to ${dateText(toMs, false)}`
  return [
    `// Inferred from ${counted(rows, 'row')} of ${JSON.stringify(name)}${span}. They hold on those rows: keep what you know to be meant.`,
    `import type { Expectation } from 'headrace/features'`,
    '',
    `export const ${identifier(name)}Expectations: readonly Expectation[] = [`,
    ...expectations.map((expectation) => `  ${literalOf(expectation)},`),
    ']',
    '',
  ].join('\n')
}

function identifier(name: string): string {
  const camel = name.replace(
    /[^A-Za-z0-9]+([A-Za-z0-9])?/g,
    (_all, letter: string | undefined) => letter?.toUpperCase() ?? '',
  )
  return /^[A-Za-z]/.test(camel) ? camel[0]!.toLowerCase() + camel.slice(1) : `of${camel}`
}

function literalOf(value: unknown): string {
  if (typeof value === 'string')
    return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
  if (Array.isArray(value)) return `[${value.map(literalOf).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const parts = Object.entries(value).map(
      ([key, of]) => `${/^[A-Za-z_]\w*$/.test(key) ? key : literalOf(key)}: ${literalOf(of)}`,
    )
    return `{ ${parts.join(', ')} }`
  }
  return String(value)
}
