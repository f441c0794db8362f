// MLflow's filter language: comparisons joined by AND. What may be asked for, and how it is compared, is a `Language`; the same parser
// serves runs, experiments, logged models, registered models and their versions.
import { TrackingErrors } from '../errors.js'
import { invalidFilter, type Token, tokensOf } from './tokens.js'

export type Entity = 'attribute' | 'metric' | 'param' | 'tag' | 'dataset'
export type Operator =
  | '='
  | '!='
  | '>'
  | '>='
  | '<'
  | '<='
  | 'LIKE'
  | 'ILIKE'
  | 'IN'
  | 'NOT IN'
  | 'IS NULL'
  | 'IS NOT NULL'

export interface Comparison {
  readonly entity: Entity
  readonly key: string
  readonly operator: Operator
  /** A list for IN and NOT IN; null for IS NULL and IS NOT NULL. */
  readonly value: string | number | bigint | readonly string[] | null
}

export interface Order {
  readonly entity: Entity
  readonly key: string
  readonly isAscending: boolean
}

/** What one kind of thing can be searched by. */
export interface Language {
  readonly entities: readonly Entity[]
  /** By every name it may be written with. */
  readonly attributes: Readonly<Record<string, Attribute>>
}

export interface Attribute {
  /** As the compiler knows it. */
  readonly name: string
  readonly type: 'text' | 'number'
}

const ENTITIES: Readonly<Record<string, Entity>> = {
  ...{ metric: 'metric', metrics: 'metric' },
  ...{ parameter: 'param', parameters: 'param', param: 'param', params: 'param' },
  ...{ tag: 'tag', tags: 'tag' },
  ...{ attribute: 'attribute', attributes: 'attribute', attr: 'attribute', run: 'attribute' },
  ...{ dataset: 'dataset', datasets: 'dataset' },
}

const DATASET_KEYS: readonly string[] = ['name', 'digest', 'context']
const NUMERIC: readonly Operator[] = ['=', '!=', '>', '>=', '<', '<=']
const TEXT: readonly Operator[] = ['=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN']
const PAIRS: readonly Operator[] = [...TEXT, 'IS NULL', 'IS NOT NULL']
const MAX_COMPARISONS = 100

/** Throws TRACKING_FILTER_INVALID, which says where. */
export function parseFilter(text: string, language: Language): Comparison[] {
  const tokens = tokensOf(text)
  const comparisons: Comparison[] = []
  let next = 0
  const fail = (token: Token, problem: string) => invalidFilter(text, token.at, problem)
  const peek = () => tokens[next]!
  const take = () => tokens[next++]!
  const isWord = (token: Token, word: string) =>
    token.kind === 'name' && token.entity === undefined && token.key.toUpperCase() === word

  if (peek().kind === 'end') return comparisons
  for (;;) {
    comparisons.push(comparison())
    if (comparisons.length > MAX_COMPARISONS)
      throw TrackingErrors.TOO_MANY({ what: 'comparisons', count: comparisons.length, limit: MAX_COMPARISONS })
    const token = take()
    if (token.kind === 'end') return comparisons
    if (isWord(token, 'OR')) throw fail(token, 'only AND joins comparisons, not OR')
    if (!isWord(token, 'AND')) throw fail(token, 'AND or the end is expected here')
  }

  function comparison(): Comparison {
    const token = take()
    const { entity, key, type } = identifierOf(token, language, (problem) => fail(token, problem))
    const allowed = type === 'number' ? NUMERIC : entity === 'param' || entity === 'tag' ? PAIRS : TEXT
    const at = peek()
    const operator = operatorOf()
    if (!allowed.includes(operator))
      throw fail(at, `${operator} does not compare ${entity} "${key}"; these do: ${allowed.join(', ')}`)
    return { entity, key, operator, value: operandOf(operator, type) }
  }

  function operatorOf(): Operator {
    const token = take()
    if (token.kind === 'operator') return token.value as Operator
    if (isWord(token, 'LIKE')) return 'LIKE'
    if (isWord(token, 'ILIKE')) return 'ILIKE'
    if (isWord(token, 'IN')) return 'IN'
    if (isWord(token, 'NOT') && isWord(peek(), 'IN')) {
      next++
      return 'NOT IN'
    }
    if (isWord(token, 'IS')) {
      const isNot = isWord(peek(), 'NOT')
      if (isNot) next++
      if (isWord(take(), 'NULL')) return isNot ? 'IS NOT NULL' : 'IS NULL'
    }
    throw fail(token, `a comparison is expected here: ${PAIRS.join(', ')}, >, >=, <, <=`)
  }

  function operandOf(operator: Operator, type: 'text' | 'number'): Comparison['value'] {
    if (operator === 'IS NULL' || operator === 'IS NOT NULL') return null
    if (operator === 'IN' || operator === 'NOT IN') return listOf()
    const token = take()
    if (type === 'number') {
      if (token.kind !== 'number') throw fail(token, 'a number is expected here')
      const { value } = token
      const isKept = typeof value === 'bigint' ? BigInt.asIntN(64, value) === value : Number.isFinite(value)
      if (!isKept) throw fail(token, 'no metric or time is as large as this number')
      return value
    }
    if (token.kind === 'text') return token.value
    throw fail(token, 'text in quotes is expected here')
  }

  function listOf(): string[] {
    const open = take()
    const values: string[] = []
    if (open.kind !== 'mark' || open.value !== '(') throw fail(open, "a list is expected here, such as ('a', 'b')")
    for (;;) {
      const token = take()
      if (token.kind === 'mark' && token.value === ')' && values.length > 0) return values
      if (token.kind !== 'text') throw fail(token, 'text in quotes is expected in the list')
      values.push(token.value)
      const after = take()
      if (after.kind === 'mark' && after.value === ')') return values
      if (after.kind !== 'mark' || after.value !== ',') throw fail(after, 'a comma or ) is expected here')
    }
  }
}

/** `metrics.auc DESC`; ascending when nothing is said. Throws TRACKING_ORDER_INVALID. */
export function parseOrder(text: string, language: Language): Order {
  const fail = (problem: string) => TrackingErrors.ORDER_INVALID({ text: text.slice(0, 200), problem })
  const [first, direction, end] = tokensOf(text)
  const { entity, key } = identifierOf(first!, language, fail)
  if (entity === 'dataset') throw fail('runs are not ordered by data sets')
  if (direction!.kind === 'end') return { entity, key, isAscending: true }
  const word = direction!.kind === 'name' && direction!.entity === undefined ? direction!.key.toUpperCase() : ''
  if ((word !== 'ASC' && word !== 'DESC') || end!.kind !== 'end')
    throw fail('after the name comes ASC, DESC or nothing')
  return { entity, key, isAscending: word === 'ASC' }
}

function identifierOf(
  token: Token,
  { entities, attributes }: Language,
  fail: (problem: string) => Error,
): { entity: Entity; key: string; type: 'text' | 'number' } {
  if (token.kind !== 'name' && !(token.kind === 'text' && token.isName))
    throw fail('the name of what is compared is expected here, such as metrics.auc')
  const written = token.kind === 'name' ? token.entity : undefined
  const key = token.kind === 'name' ? token.key : token.value
  const entity = written === undefined ? 'attribute' : ENTITIES[written.toLowerCase()]
  if (entity === undefined || !entities.includes(entity))
    throw fail(`"${written}" is nothing to search by; these are: ${entities.map((one) => `${one}s`).join(', ')}`)
  if (entity === 'attribute') {
    const attribute = Object.hasOwn(attributes, key) ? attributes[key] : undefined
    if (attribute === undefined)
      throw fail(`there is no attribute "${key}"; these are: ${Object.keys(attributes).join(', ')}`)
    return { entity, key: attribute.name, type: attribute.type }
  }
  if (entity === 'dataset' && !DATASET_KEYS.includes(key))
    throw fail(`data sets have ${DATASET_KEYS.join(', ')}, not "${key}"`)
  return { entity, key, type: entity === 'metric' ? 'number' : 'text' }
}
