// Regular expressions whose time is linear in the text, whatever the pattern: a user's rule may not stall ingestion. JavaScript's own
// engine backtracks, so `(a+)+$` on thirty characters takes minutes. Here a pattern becomes an automaton (Thompson, CACM 1968) whose sets
// of states are computed when first met, as RE2 does (R. Cox, "Regular Expression Matching: the Virtual Machine Approach", 2009).
// The language is what JavaScript and RE2 share: no look-around, no back-references, no \b; \d, \w and \s are ASCII.
import { FeatureErrors } from '../errors.js'

/** Inclusive ranges of code points, two numbers each, ascending. */
type Ranges = readonly number[]

type Node =
  | { readonly kind: 'set'; readonly ranges: Ranges }
  | { readonly kind: 'start' | 'end' | 'empty' }
  | { readonly kind: 'sequence' | 'either'; readonly of: readonly Node[] }
  | { readonly kind: 'repeat'; readonly of: Node; readonly min: number; readonly max: number }

type Instruction =
  | { readonly op: 'set'; readonly ranges: Ranges; readonly next: number }
  | { op: 'split'; left: number; right: number }
  | { readonly op: 'start' | 'end'; readonly next: number }
  | { readonly op: 'match' }

const MAX_INSTRUCTIONS = 5000
const MAX_REPEAT = 1000
/** Above so many the cache of state sets starts anew: it would be the pattern's whole power set. */
const MAX_STATES = 1000
const MAX_CODE_POINT = 0x10ffff

/**
 * Compiles a pattern to a test "is it somewhere in the text" (anchor with ^ and $ for the whole).
 * Throws FEATURE_EXPECTATION_INVALID for what the language does not have, `where` being named.
 */
export function compilePattern(pattern: string, where: string): (text: string) => boolean {
  const program = assemble(parse(pattern, where), pattern, where)
  const automaton = new Automaton(program)
  return (text) => automaton.test(text)
}

/** The same pattern as DuckDB's regexp_matches (RE2) writes it. */
export function re2Pattern(pattern: string): string {
  return pattern
    .replace(
      /\\u\{([0-9a-fA-F]+)\}|\\u([0-9a-fA-F]{4})/g,
      (_all, braced: string, four: string) => `\\x{${braced ?? four}}`,
    )
    .replace(/\(\?<[A-Za-z_]\w*>/g, '(')
}

const DIGIT: Ranges = [48, 57]
const WORD: Ranges = [48, 57, 65, 90, 95, 95, 97, 122]
const SPACE: Ranges = [9, 10, 12, 13, 32, 32]
const CONTROL: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 }

function parse(pattern: string, where: string): Node {
  const chars = Array.from(pattern)
  let at = 0
  const refuse = (problem: string): never => {
    throw FeatureErrors.EXPECTATION_INVALID({ where, problem: `the pattern /${pattern}/ ${problem}` })
  }

  function either(depth: number): Node {
    if (depth > 100) refuse('is nested too deeply')
    const of = [sequence(depth)]
    while (chars[at] === '|') {
      at++
      of.push(sequence(depth))
    }
    return of.length === 1 ? of[0]! : { kind: 'either', of }
  }

  function sequence(depth: number): Node {
    const of: Node[] = []
    while (at < chars.length && chars[at] !== '|' && chars[at] !== ')') of.push(repeated(depth))
    return of.length === 1 ? of[0]! : of.length === 0 ? { kind: 'empty' } : { kind: 'sequence', of }
  }

  function repeated(depth: number): Node {
    const of = atom(depth)
    const c = chars[at]
    let min = 1
    let max = 1
    if (c === '*' || c === '+' || c === '?') {
      min = c === '+' ? 1 : 0
      max = c === '?' ? 1 : Number.POSITIVE_INFINITY
      at++
    } else if (c === '{') {
      const match = /^\{(\d+)(,?)(\d*)\}/.exec(chars.slice(at, at + 14).join(''))
      if (!match) return refuse('has a "{" that is no repetition: write \\{')
      min = Number(match[1])
      max = match[2] === '' ? min : match[3] === '' ? Number.POSITIVE_INFINITY : Number(match[3])
      if (min > max || min > MAX_REPEAT || (max > MAX_REPEAT && max !== Number.POSITIVE_INFINITY)) {
        refuse(`repeats ${match[0]}: at most ${MAX_REPEAT} times, the smaller number first`)
      }
      at += match[0].length
    } else return of
    if (of.kind === 'start' || of.kind === 'end') refuse('repeats an anchor')
    if (chars[at] === '?') at++ // Reluctant: whether there is a match does not depend on it.
    if (chars[at] === '*' || chars[at] === '+' || chars[at] === '?' || chars[at] === '{') refuse('repeats a repetition')
    return { kind: 'repeat', of, min, max }
  }

  function atom(depth: number): Node {
    const c = chars[at++]!
    switch (c) {
      case '(': {
        if (chars[at] === '?') {
          const rest = chars.slice(at, at + 64).join('')
          const group = /^\?(?::|<[A-Za-z_]\w*>)/.exec(rest)
          if (!group) return refuse('uses look-around, which takes more than linear time')
          at += group[0].length
        }
        const inner = either(depth + 1)
        if (chars[at++] !== ')') refuse('has a "(" that is not closed')
        return inner
      }
      case '[':
        return { kind: 'set', ranges: set() }
      case '.':
        return { kind: 'set', ranges: complement([10, 10, 13, 13, 0x2028, 0x2029]) }
      case '^':
        return { kind: 'start' }
      case '$':
        return { kind: 'end' }
      case '\\':
        return { kind: 'set', ranges: escaped(false) }
      case '*':
      case '+':
      case '?':
      case '{':
        return refuse(`has a "${c}" with nothing before it`)
      default:
        return { kind: 'set', ranges: one(c.codePointAt(0)!) }
    }
  }

  function escaped(inSet: boolean): Ranges {
    const c = chars[at++]
    if (c === undefined) return refuse('ends in "\\"')
    switch (c) {
      case 'd':
        return DIGIT
      case 'D':
        return complement(DIGIT)
      case 'w':
        return WORD
      case 'W':
        return complement(WORD)
      case 's':
        return SPACE
      case 'S':
        return complement(SPACE)
    }
    if (CONTROL[c] !== undefined) return one(CONTROL[c])
    const hex = /^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\})/.exec(
      c + chars.slice(at, at + 9).join(''),
    )
    if (hex) {
      at += hex[0].length - 1
      return one(Number.parseInt((hex[1] ?? hex[2] ?? hex[3])!, 16))
    }
    if (/[A-Za-z0-9]/.test(c) && !(inSet && c === '-')) {
      refuse(`uses \\${c}, which is not among \\d \\w \\s \\t \\n \\r \\x \\u and escaped punctuation`)
    }
    return one(c.codePointAt(0)!)
  }

  function set(): Ranges {
    const isNegated = chars[at] === '^'
    if (isNegated) at++
    const parts: number[] = []
    for (;;) {
      const c = chars[at]
      if (c === undefined) return refuse('has a "[" that is not closed')
      at++
      if (c === ']') break
      const low = c === '\\' ? escaped(true) : one(c.codePointAt(0)!)
      if (chars[at] === '-' && chars[at + 1] !== ']' && chars[at + 1] !== undefined) {
        at++
        const d = chars[at++]!
        const high = d === '\\' ? escaped(true) : one(d.codePointAt(0)!)
        if (low.length !== 2 || high.length !== 2 || low[0] !== low[1] || high[0] !== high[1] || low[0]! > high[0]!) {
          refuse('has a range in [] that is not from a smaller character to a larger one')
        }
        parts.push(low[0]!, high[0]!)
      } else parts.push(...low)
    }
    const ranges = normalised(parts)
    return isNegated ? complement(ranges) : ranges
  }

  const node = either(0)
  if (at < chars.length) refuse('has a ")" too many')
  return node
}

const one = (codePoint: number): Ranges => [codePoint, codePoint]

function normalised(parts: Ranges): Ranges {
  const pairs: [number, number][] = []
  for (let i = 0; i < parts.length; i += 2) pairs.push([parts[i]!, parts[i + 1]!])
  pairs.sort((a, b) => a[0] - b[0])
  const out: number[] = []
  for (const [low, high] of pairs) {
    if (out.length > 0 && low <= out.at(-1)! + 1) out[out.length - 1] = Math.max(out.at(-1)!, high)
    else out.push(low, high)
  }
  return out
}

function complement(ranges: Ranges): Ranges {
  const sorted = normalised(ranges)
  const out: number[] = []
  let from = 0
  for (let i = 0; i < sorted.length; i += 2) {
    if (sorted[i]! > from) out.push(from, sorted[i]! - 1)
    from = sorted[i + 1]! + 1
  }
  if (from <= MAX_CODE_POINT) out.push(from, MAX_CODE_POINT)
  return out
}

function assemble(root: Node, pattern: string, where: string): Instruction[] {
  const program: Instruction[] = []
  const push = (instruction: Instruction): number => {
    if (program.length >= MAX_INSTRUCTIONS) {
      throw FeatureErrors.EXPECTATION_INVALID({ where, problem: `the pattern /${pattern}/ is too large: repeat less` })
    }
    return program.push(instruction) - 1
  }
  // Backwards: each node is given where it goes on, and says where it begins.
  const emit = (node: Node, next: number): number => {
    switch (node.kind) {
      case 'set':
        return push({ op: 'set', ranges: node.ranges, next })
      case 'start':
      case 'end':
        return push({ op: node.kind, next })
      case 'empty':
        return next
      case 'sequence':
        return node.of.reduceRight((after, part) => emit(part, after), next)
      case 'either':
        return node.of.map((part) => emit(part, next)).reduceRight((right, left) => push({ op: 'split', left, right }))
      case 'repeat': {
        let after = next
        if (node.max === Number.POSITIVE_INFINITY) {
          const loop = { op: 'split' as const, left: 0, right: next }
          after = push(loop)
          loop.left = emit(node.of, after)
        } else {
          for (let i = node.min; i < node.max; i++)
            after = push({ op: 'split', left: emit(node.of, after), right: next })
        }
        for (let i = 0; i < node.min; i++) after = emit(node.of, after)
        return after
      }
    }
  }
  const start = emit(root, push({ op: 'match' }))
  // The automaton starts at the last instruction.
  push({ op: 'split', left: start, right: start })
  return program
}

interface State {
  /** Instructions that read a character, or wait for the end. */
  readonly at: readonly number[]
  readonly isMatch: boolean
  readonly isMatchAtEnd: boolean
  /** By class of character. */
  readonly next: (State | undefined)[]
}

class Automaton {
  readonly #program: readonly Instruction[]
  /** First code points of the classes that no instruction tells apart inside. */
  readonly #bounds: readonly number[]
  readonly #classOfAscii = new Uint16Array(128)
  #states = new Map<string, State>()
  #first: State

  constructor(program: readonly Instruction[]) {
    this.#program = program
    const bounds = new Set([0])
    for (const instruction of program) {
      if (instruction.op !== 'set') continue
      instruction.ranges.forEach((point, i) => {
        bounds.add(i % 2 === 0 ? point : point + 1)
      })
    }
    this.#bounds = [...bounds].sort((a, b) => a - b)
    for (let c = 0; c < 128; c++) this.#classOfAscii[c] = this.#search(c)
    this.#first = this.#state([program.length - 1], true)
  }

  test(text: string): boolean {
    let state = this.#first
    for (let i = 0; i < text.length; i++) {
      if (state.isMatch) return true
      let c = text.charCodeAt(i)
      if (c >= 0xd800 && c <= 0xdbff) {
        c = text.codePointAt(i)!
        if (c > 0xffff) i++
      }
      const cls = c < 128 ? this.#classOfAscii[c]! : this.#search(c)
      state = state.next[cls] ?? this.#step(state, cls)
    }
    return state.isMatch || state.isMatchAtEnd
  }

  #step(from: State, cls: number): State {
    const point = this.#bounds[cls]!
    const reached: number[] = []
    for (const at of from.at) {
      const instruction = this.#program[at]!
      if (instruction.op === 'set' && holds(instruction.ranges, point)) reached.push(instruction.next)
    }
    // The match may begin at any character.
    reached.push(this.#program.length - 1)
    const next = this.#state(reached, false)
    from.next[cls] = next
    return next
  }

  #state(from: readonly number[], isStart: boolean): State {
    const at = this.#closure(from, isStart, false)
    const key = at.join(',')
    const known = this.#states.get(key)
    if (known) return known
    if (this.#states.size >= MAX_STATES) {
      this.#states = new Map()
      this.#first = this.#state([this.#program.length - 1], true)
    }
    const isMatch = at.some((i) => this.#program[i]!.op === 'match')
    const atEnd = this.#closure(at, isStart, true)
    const state: State = {
      at,
      isMatch,
      isMatchAtEnd: atEnd.some((i) => this.#program[i]!.op === 'match'),
      next: new Array<State | undefined>(this.#bounds.length).fill(undefined),
    }
    this.#states.set(key, state)
    return state
  }

  #closure(from: readonly number[], isStart: boolean, isEnd: boolean): number[] {
    const seen = new Set<number>()
    const stack = [...from]
    const out: number[] = []
    while (stack.length > 0) {
      const at = stack.pop()!
      if (seen.has(at)) continue
      seen.add(at)
      const instruction = this.#program[at]!
      switch (instruction.op) {
        case 'split':
          stack.push(instruction.left, instruction.right)
          break
        case 'start':
          if (isStart) stack.push(instruction.next)
          break
        case 'end':
          if (isEnd) stack.push(instruction.next)
          out.push(at)
          break
        default:
          out.push(at)
      }
    }
    return out.sort((a, b) => a - b)
  }

  #search(point: number): number {
    let low = 0
    let high = this.#bounds.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (this.#bounds[middle]! <= point) low = middle
      else high = middle
    }
    return low
  }
}

function holds(ranges: Ranges, point: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) if (point >= ranges[i]! && point <= ranges[i + 1]!) return true
  return false
}
