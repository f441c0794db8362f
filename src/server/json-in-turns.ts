// JSON.parse for bodies with a long list, such as pushed events: a megabyte of them would hold the event loop for tens of milliseconds.
// Where the list can be cut is found without parsing it; then it is parsed piece by piece, and others get their turn in between.
const PIECE_CHARS = 16 * 1024
/** Stands for the list in the rest of the text, which cannot have it: JSON has one way to write NUL, and a rest with that is not taken. */
const PLACE = '\u0000list'
const NUL = '\\u0000'

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c

/** What JSON.parse gives, and throws. */
export async function parseJsonInTurns(text: string): Promise<unknown> {
  const list = text.length > 2 * PIECE_CHARS ? longList(text) : undefined
  if (list !== undefined) {
    try {
      const value = await parsePieces(text, list)
      if (value !== undefined) return value
    } catch {
      // What is wrong with it, and where, the whole text says.
    }
  }
  return JSON.parse(text)
}

interface LongList {
  /** Of its brackets. */
  readonly start: number
  readonly end: number
  /** Commas between its items, some PIECE_CHARS apart. */
  readonly cuts: readonly number[]
}

/** The first long list that is a member of the outermost object. Of text that is no JSON it may be anything. */
function longList(text: string): LongList | undefined {
  if (!/^\s*\{/.test(text)) return undefined
  let depth = 0
  let start = -1
  let cuts: number[] = []
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfText(text, at)
        break
      case 0x5b: // [
      case 0x7b: // {
        if (++depth === 2 && text[at] === '[') {
          start = at
          cuts = []
        }
        break
      case COMMA:
        if (depth === 2 && start !== -1 && at - (cuts.at(-1) ?? start) > PIECE_CHARS) cuts.push(at)
        break
      case 0x5d: // ]
      case 0x7d: // }
        if (--depth === 1 && start !== -1) {
          if (cuts.length > 0) return text[at] === ']' ? { start, end: at, cuts } : undefined
          start = -1
        }
    }
  }
  return undefined
}

function endOfText(text: string, quote: number): number {
  for (let at = quote + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) return at
    if (code === BACKSLASH) at++
  }
  return text.length
}

/** Undefined when only the whole text can say what it is. */
async function parsePieces(text: string, { start, end, cuts }: LongList): Promise<unknown> {
  const before = text.slice(0, start)
  const after = text.slice(end + 1)
  if (before.includes(NUL) || after.includes(NUL)) return undefined
  const value = JSON.parse(before + JSON.stringify(PLACE) + after) as Record<string, unknown>
  // It is no value when it stood for a name, or when another member of its name came after it.
  const name = Object.keys(value).find((key) => value[key] === PLACE)
  if (name === undefined) return undefined
  const items: unknown[] = []
  for (let i = 0; i <= cuts.length; i++) {
    const piece = JSON.parse(`[${text.slice((cuts[i - 1] ?? start) + 1, cuts[i] ?? end)}]`) as unknown[]
    // A comma too many.
    if (piece.length === 0) return undefined
    for (const item of piece) items.push(item)
    await new Promise((resolve) => setImmediate(resolve))
  }
  value[name] = items
  return value
}
