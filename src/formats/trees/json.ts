// JSON as XGBoost writes it: with NaN and Infinity, which JSON does not have.
import { expectAtMost, unreadable } from './failure.js'

/** Of 100,000 trees with twenty lists each there are two million; JSON.parse cannot be stopped once it has begun. */
const MAX_CONTAINERS = 4_000_000
const LIST = 0x5b
const OBJECT = 0x7b

/** Numbers too large for a double come out infinite, as `Infinity` does; NaN comes out as null. */
export function readLooseJson(bytes: Uint8Array): unknown {
  expectAtMost('lists and objects', MAX_CONTAINERS, containersIn(bytes))
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw unreadable('it is not UTF-8')
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!/NaN|Infinity|\binf\b/.test(text)) throw unreadable(reasonOf(error))
  }
  // Strings are matched too, so that what stands in them is left alone.
  const strict = text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|-?\binf\b|NaN/g, (token) => {
    if (token.startsWith('"')) return token
    if (token === 'NaN') return 'null'
    return token.startsWith('-') ? '-1e999' : '1e999'
  })
  try {
    return JSON.parse(strict)
  } catch (error) {
    throw unreadable(reasonOf(error))
  }
}

/** Those in texts too, which are few. */
function containersIn(bytes: Uint8Array): number {
  let count = 0
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === LIST || bytes[i] === OBJECT) count++
  return count
}

function reasonOf(error: unknown): string {
  return `it is not valid JSON: ${(error instanceof Error ? error.message : String(error)).slice(0, 200)}`
}
