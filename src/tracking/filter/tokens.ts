// Cuts a filter such as `metrics.auc > 0.9 AND tags."model kind" = 'tree'` into words, operators and values.
import { TrackingErrors } from '../errors.js'

export type Token =
  /** A key with what stands before its first dot; quotes are gone. A word without a dot has no entity. */
  | { readonly kind: 'name'; readonly entity: string | undefined; readonly key: string; readonly at: number }
  /** Of either quotes: what it means depends on where it stands. */
  | { readonly kind: 'text'; readonly value: string; readonly at: number; readonly isName: boolean }
  | { readonly kind: 'number'; readonly value: number | bigint; readonly at: number }
  | { readonly kind: 'operator'; readonly value: string; readonly at: number }
  | { readonly kind: 'mark'; readonly value: '(' | ')' | ','; readonly at: number }
  | { readonly kind: 'end'; readonly at: number }

const MAX_FILTER_LENGTH = 20_000
const SPACE = /\s+/y
const OPERATOR = /!=|<>|<=|>=|=|<|>/y
const NUMBER = /[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])/y
const WORD = /[\p{L}_][\p{L}\p{N}_]*/uy
/** Behind the dot a key goes on until something that cannot be part of one. */
const KEY = /[\p{L}\p{N}_./:@$%+-]+/uy

export function tokensOf(text: string): Token[] {
  if (text.length > MAX_FILTER_LENGTH)
    throw TrackingErrors.TOO_LONG({ what: 'The filter', length: text.length, limit: MAX_FILTER_LENGTH })
  const tokens: Token[] = []
  let at = 0

  function take(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }

  /** From its opening quote; a quote is written in it by doubling it. */
  function quoted(): string {
    const from = at
    const quote = text[at]!
    let value = ''
    for (at++; ; at++) {
      const end = text.indexOf(quote, at)
      if (end === -1) throw invalidFilter(text, from, `the ${quote} that opens here is never closed`)
      value += text.slice(at, end)
      at = end + 1
      if (text[at] !== quote) return value
      value += quote
    }
  }

  while (at < text.length) {
    if (take(SPACE) !== undefined) continue
    const from = at
    const character = text[at]!
    if (character === '(' || character === ')' || character === ',') {
      at++
      tokens.push({ kind: 'mark', value: character, at: from })
    } else if (character === "'") tokens.push({ kind: 'text', value: quoted(), at: from, isName: false })
    else if (character === '"' || character === '`')
      tokens.push({ kind: 'text', value: quoted(), at: from, isName: true })
    else {
      const operator = take(OPERATOR)
      const number = operator === undefined ? take(NUMBER) : undefined
      const word = operator === undefined && number === undefined ? take(WORD) : undefined
      if (operator !== undefined)
        tokens.push({ kind: 'operator', value: operator === '<>' ? '!=' : operator, at: from })
      else if (number !== undefined) tokens.push({ kind: 'number', value: numberOf(number), at: from })
      else if (word === undefined) throw invalidFilter(text, at, `"${character}" does not belong here`)
      else if (text[at] !== '.') tokens.push({ kind: 'name', entity: undefined, key: word, at: from })
      else {
        at++
        const key = text[at] === '"' || text[at] === '`' ? quoted() : take(KEY)
        if (key === undefined || key === '') throw invalidFilter(text, from, `"${word}." is followed by no key`)
        tokens.push({ kind: 'name', entity: word, key, at: from })
      }
    }
  }
  tokens.push({ kind: 'end', at })
  return tokens
}

export function invalidFilter(text: string, at: number, problem: string) {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text
  return TrackingErrors.FILTER_INVALID({ problem, at, text: shown })
}

function numberOf(text: string): number | bigint {
  const value = Number(text)
  return /^[-+]?\d+$/.test(text) && !Number.isSafeInteger(value) ? BigInt(text.replace('+', '')) : value
}
