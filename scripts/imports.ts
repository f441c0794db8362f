// Finds every import of a TypeScript file by reading its tokens: TypeScript 7 has no JavaScript API, and the
// parsers that read JavaScript drop `import type`, which counts as an import here.

export interface ImportSite {
  readonly specifier: string
  /** Counted from 1. */
  readonly line: number
}

interface Token {
  readonly kind: 'word' | 'string' | 'sign'
  readonly text: string
  readonly line: number
}

const SPACE = /\s+/y
const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\//y
const WORD = /[\p{ID_Start}$_#][\p{ID_Continue}$]*|\d[\w.]*/uy
const STRING = /'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*"/y
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y
const TEMPLATE_PART = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*/y

/** Words after which a slash opens a regular expression and does not divide. */
const BEFORE_REGEX = new Set(['return', 'typeof', 'case', 'in', 'of', 'do', 'else', 'void', 'delete', 'throw', 'await'])

function tokens(source: string): Token[] {
  const found: Token[] = []
  /** One entry for each open `${`: how many braces are open inside it. */
  const templates: number[] = []
  let at = 0
  let line = 1

  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const text = pattern.exec(source)?.[0]
    if (text === undefined || text === '') return undefined
    at += text.length
    for (const char of text) if (char === '\n') line += 1
    return text
  }
  const takeTemplate = (): void => {
    take(TEMPLATE_PART)
    if (source.startsWith('${', at)) {
      templates.push(0)
      at += 2
    } else at += 1
  }
  const opensRegex = (): boolean => {
    const last = found.at(-1)
    if (last === undefined) return true
    if (last.kind === 'word') return BEFORE_REGEX.has(last.text)
    return last.kind === 'sign' && !/[)\]}]/.test(last.text)
  }

  while (at < source.length) {
    if (take(SPACE) !== undefined || take(COMMENT) !== undefined) continue
    const startLine = line
    const word = take(WORD)
    if (word !== undefined) {
      found.push({ kind: 'word', text: word, line: startLine })
      continue
    }
    const string = take(STRING)
    if (string !== undefined) {
      found.push({ kind: 'string', text: string.slice(1, -1), line: startLine })
      continue
    }
    const sign = source[at]!
    if (sign === '/' && opensRegex() && take(REGEX) !== undefined) {
      found.push({ kind: 'string', text: '', line: startLine })
      continue
    }
    at += 1
    if (sign === '`') {
      takeTemplate()
      found.push({ kind: 'string', text: '', line: startLine })
      continue
    }
    const depth = templates.at(-1)
    if (depth !== undefined && sign === '{') templates[templates.length - 1] = depth + 1
    if (depth !== undefined && sign === '}') {
      if (depth > 0) templates[templates.length - 1] = depth - 1
      else {
        templates.pop()
        takeTemplate()
        continue
      }
    }
    found.push({ kind: 'sign', text: sign, line: startLine })
  }
  return found
}

/** Every literal specifier: import and export from, side effects, `import()`, and `import('x').Type`. */
export function importsOf(source: string): ImportSite[] {
  const list = tokens(source)
  const sites: ImportSite[] = []
  const add = (token: Token | undefined): void => {
    if (token?.kind === 'string') sites.push({ specifier: token.text, line: token.line })
  }
  for (const [index, token] of list.entries()) {
    if (token.kind !== 'word' || (token.text !== 'import' && token.text !== 'export')) continue
    const before = list[index - 1]
    if (before?.kind === 'sign' && before.text === '.') continue
    const next = list[index + 1]
    if (token.text === 'import' && next?.kind === 'string') add(next)
    else if (token.text === 'import' && next?.text === '(') add(list[index + 2])
    else add(afterFrom(list, index + 1))
  }
  return sites
}

/** The string after `from` of the clause that starts at `index`; undefined where there is no such clause. */
function afterFrom(list: readonly Token[], index: number): Token | undefined {
  let depth = 0
  for (let i = index; i < list.length; i += 1) {
    const { kind, text } = list[i]!
    if (depth === 0 && kind === 'word' && text === 'from' && list[i + 1]?.kind === 'string') return list[i + 1]
    if (kind === 'sign') {
      if (text === '{') depth += 1
      else if (text === '}') depth -= 1
      else if (text !== ',' && text !== '*') return undefined
    } else if (depth === 0 && i > index && kind === 'word' && CLAUSE_END.has(text)) return undefined
  }
  return undefined
}

/** A declaration, not a clause: `export const`, or the statement after an `export {}` without `from`. */
const CLAUSE_END = new Set(['import', 'export', 'const', 'let', 'function', 'class', 'interface', 'enum'])
