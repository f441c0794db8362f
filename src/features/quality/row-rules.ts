// Rules that a row breaks by itself, compiled once per source or view: ingestion asks them of every event.
import type { CompiledView, FeatureProject } from '../compiled.js'
import type { Expectation } from '../definitions/expectation.js'
import type { EventRow } from '../definitions/feature.js'
import type { StreamSource } from '../definitions/source.js'
import { FeatureErrors } from '../errors.js'
import type { Value } from '../value.js'
import { compilePattern } from './pattern.js'
import type { Checked, RowBreach, RowCheck, RowRule, SetRule } from './types.js'

/** What is wrong with a value, or undefined. */
type Test = (value: Value) => string | undefined

interface CompiledRule {
  readonly column: string
  readonly reason: string
  readonly test: Test
}

const NOTHING: RowCheck = { breaches: [] }

export const isRowRule = (rule: Expectation): rule is RowRule =>
  rule.expect === 'type' ||
  rule.expect === 'notNull' ||
  rule.expect === 'range' ||
  rule.expect === 'oneOf' ||
  rule.expect === 'regex'

export const isSetRule = (rule: Expectation): rule is SetRule => !isRowRule(rule)

/** `range amount`: what breaches are counted by. */
export function reasonOf(rule: Expectation): string {
  if ('column' in rule) return `${rule.expect} ${rule.column}`
  return rule.expect === 'unique' ? `unique ${rule.columns.join(', ')}` : rule.expect
}

const compiled = new WeakMap<readonly Expectation[], readonly CompiledRule[]>()

function compile(of: Checked): readonly CompiledRule[] {
  let rules = compiled.get(of.expectations)
  if (!rules) {
    rules = of.expectations.filter(isRowRule).map((rule) => ({
      column: rule.column,
      reason: reasonOf(rule),
      test: testOf(rule, of.name),
    }))
    compiled.set(of.expectations, rules)
  }
  return rules
}

/**
 * Which rows break a rule of a source, by column. A null breaks only `notNull`: other rules are about the value that is there.
 * Throws FEATURE_EXPECTATION_INVALID.
 *
 * @example checkRows(source, [{ amount: -1 }]).breaches // [{ index: 0, reason: 'range amount', problem: 'amount is -1; …' }]
 */
export function checkRows(of: Checked, rows: readonly EventRow[]): RowCheck {
  if (of.expectations.length === 0) return NOTHING
  const rules = compile(of)
  if (rules.length === 0) return NOTHING
  const breaches: RowBreach[] = []
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    for (const rule of rules) {
      const problem = rule.test(row[rule.column] ?? null)
      if (problem === undefined) continue
      breaches.push({ index: i, reason: rule.reason, problem: `${rule.column} ${problem}` })
      break
    }
  }
  return breaches.length === 0 ? NOTHING : { breaches }
}

const positions = new WeakMap<CompiledView, readonly { readonly rule: CompiledRule; readonly index: number }[]>()

/** The same of rows as a row view has them: values in the order of its features. Rules about other columns are the source's affair. */
export function checkViewRows(view: CompiledView, rows: readonly { readonly values: readonly Value[] }[]): RowCheck {
  if (view.expectations.length === 0 || view.kind !== 'rows') return NOTHING
  let placed = positions.get(view)
  if (!placed) {
    placed = compile(view).flatMap((rule) => {
      const index = view.features.findIndex((feature) => feature.name === rule.column)
      return index < 0 ? [] : [{ rule, index }]
    })
    positions.set(view, placed)
  }
  if (placed.length === 0) return NOTHING
  const breaches: RowBreach[] = []
  for (let i = 0; i < rows.length; i++) {
    const { values } = rows[i]!
    for (const { rule, index } of placed) {
      const problem = rule.test(values[index] ?? null)
      if (problem === undefined) continue
      breaches.push({ index: i, reason: rule.reason, problem: `${rule.column} ${problem}` })
      break
    }
  }
  return breaches.length === 0 ? NOTHING : { breaches }
}

/**
 * A view's rules by the columns of its source: a feature's name stands for the column it is taken from. Rules about an aggregation are
 * about no row, and are left out.
 */
export function sourceRules(view: CompiledView): Checked {
  const expectations = view.expectations.flatMap((rule): readonly Expectation[] => {
    if (!('column' in rule)) return [rule]
    const feature = view.features.find(({ name }) => name === rule.column)
    if (!feature) return [rule]
    return feature.kind === 'column' ? [{ ...rule, column: feature.column }] : []
  })
  return { name: view.name, expectations }
}

/** Judges the events of a stream source by its own rules and by those of the views that it feeds; for the ingestor. */
export function createEventRules(
  project: FeatureProject,
): (source: StreamSource, rows: readonly EventRow[]) => readonly RowBreach[] {
  const bySource = new Map<string, Checked>()
  return (source, rows) => {
    let rules = bySource.get(source.name)
    if (!rules) {
      const ofViews = [...project.views.values()].filter(({ stream }) => stream?.name === source.name)
      const columns = new Set(Object.keys(source.columns))
      const expectations = [
        ...(source.expectations ?? []),
        ...ofViews.flatMap((view) => sourceRules(view).expectations),
      ]
      // A rule about a column that only the batch source has is not the stream's.
      const own = expectations.filter((rule) => !('column' in rule) || columns.has(rule.column))
      rules = { name: source.name, expectations: own }
      bySource.set(source.name, rules)
    }
    return checkRows(rules, rows).breaches
  }
}

/** Throws FEATURE_EXPECTATION_INVALID for a rule that could never be judged: at compile time, not at the first row. */
export function checkRules(of: Checked): void {
  compile(of)
  for (const rule of of.expectations) {
    const where = `${of.name}: ${reasonOf(rule)}`
    const refuse = (problem: string): never => {
      throw FeatureErrors.EXPECTATION_INVALID({ where, problem })
    }
    if (rule.expect === 'nullShare' && !(rule.max >= 0 && rule.max <= 1)) refuse('max is a share: 0 to 1')
    if (rule.expect === 'rowCount' && rule.min === undefined && rule.max === undefined) refuse('give min, max or both')
    if (rule.expect === 'unique' && rule.columns.length === 0) refuse('name at least one column')
    if (rule.expect === 'distribution') {
      const { reference } = rule
      const shares = 'edges' in reference ? reference.shares : Object.values(reference.shares)
      if (shares.length === 0 || shares.some((share) => !(share >= 0 && share <= 1))) refuse('shares are 0 to 1')
      if (Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) > 0.01) refuse('shares do not add up to 1')
      if ('edges' in reference) {
        if (reference.edges.length + 1 !== reference.shares.length) refuse('there is one share more than edges')
        if (reference.edges.some((edge, i) => i > 0 && edge <= reference.edges[i - 1]!)) refuse('edges do not ascend')
      }
    }
  }
}

function testOf(rule: RowRule, name: string): Test {
  const where = `${name}: ${reasonOf(rule)}`
  switch (rule.expect) {
    case 'notNull':
      return (value) => (value === null ? 'is null' : undefined)
    case 'type': {
      const fits = typeTest(rule.type)
      if (!fits) throw FeatureErrors.EXPECTATION_INVALID({ where, problem: `"${rule.type}" is no type` })
      return (value) => (value === null || fits(value) ? undefined : `is ${shown(value)}, which is no ${rule.type}`)
    }
    case 'range': {
      const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = rule
      if (!(min <= max)) throw FeatureErrors.EXPECTATION_INVALID({ where, problem: 'min is above max' })
      const wanted = rangeText(rule)
      return (value) => {
        if (value === null) return undefined
        if (typeof value !== 'number' && typeof value !== 'bigint') return `is ${shown(value)}, which is no number`
        return value >= min && value <= max ? undefined : `is ${shown(value)}; expected ${wanted}`
      }
    }
    case 'oneOf': {
      const allowed = new Set<unknown>(rule.values)
      return (value) => {
        const plain = typeof value === 'bigint' && isSafe(value) ? Number(value) : value
        return value === null || allowed.has(plain)
          ? undefined
          : `is ${shown(value)}, which is none of the ${allowed.size} allowed`
      }
    }
    case 'regex': {
      const matches = compilePattern(rule.pattern, where)
      return (value) => {
        if (value === null) return undefined
        if (typeof value !== 'string') return `is ${shown(value)}, which is no text`
        return matches(value) ? undefined : `is ${shown(value)}, which does not match /${rule.pattern}/`
      }
    }
  }
}

const isSafe = (value: bigint): boolean =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER)

function rangeText({ min, max }: { readonly min?: number; readonly max?: number }): string {
  if (min === undefined) return `at most ${max}`
  return max === undefined ? `at least ${min}` : `${min} to ${max}`
}

/** At most 40 characters of a value: messages are kept and shown. */
function shown(value: Value): string {
  const text =
    typeof value === 'string' ? JSON.stringify(value) : Array.isArray(value) ? `[${value.join(', ')}]` : String(value)
  return text.length > 40 ? `${text.slice(0, 39)}…` : text
}

function typeTest(type: string): ((value: Value) => boolean) | undefined {
  const list = /^(float64|int64|string|bool)\[\]$/.exec(type)
  if (list) {
    const inner = SCALARS[list[1]!]!
    return (value) => Array.isArray(value) && value.every((item: Value) => inner(item))
  }
  const vector = /^float32\[(\d+)\]$/.exec(type)
  if (vector) return (value) => value instanceof Float32Array && value.length === Number(vector[1])
  return SCALARS[type]
}

const isWhole = (value: Value): boolean => typeof value === 'bigint' || Number.isInteger(value)
const SCALARS: Readonly<Record<string, (value: Value) => boolean>> = {
  float64: (value) => typeof value === 'number',
  float32: (value) => typeof value === 'number',
  int64: isWhole,
  int32: (value) => typeof value === 'number' && (value | 0) === value,
  bool: (value) => typeof value === 'boolean',
  string: (value) => typeof value === 'string',
  timestamp: (value) => typeof value === 'number' && Number.isInteger(value),
}
