// JSON pieces for hand-written lines. JSON.stringify on a whole record costs several times as much as joining these.

// Control characters, quotes and backslashes need escaping. A surrogate without a partner becomes U+FFFD: escaped, it would be
// JSON to JavaScript only, and DuckDB would leave out the whole line.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what JSON forbids.
const NEEDS_ESCAPE = /[\u0000-\u001f"\\\ud800-\udfff]/

export function quote(text: string): string {
  return NEEDS_ESCAPE.test(text) ? JSON.stringify(Buffer.from(text).toString()) : `"${text}"`
}

export function quoteOrNull(text: string | null): string {
  return text === null ? 'null' : quote(text)
}

/** JSON has no NaN and no infinities: they become null here. */
export function numberText(value: number): string {
  return Number.isFinite(value) ? String(value) : 'null'
}

/** `.001` to `.999`, without trailing zeros. */
const FRACTIONS = Array.from({ length: 1000 }, (_, i) => `.${String(i).padStart(3, '0').replace(/0+$/, '')}`)

/** Milliseconds to the microsecond. Joining two integers takes 34 ns where printing a double takes 190 (2026-11-22). */
export function milliseconds(value: number): string {
  if (!(value >= 0 && value < 2 ** 31)) return numberText(value)
  const whole = Math.floor(value)
  const thousandths = Math.round((value - whole) * 1000)
  if (thousandths === 0) return String(whole)
  return thousandths === 1000 ? String(whole + 1) : `${whole}${FRACTIONS[thousandths]}`
}

/** Quoted names that come again and again: endpoints, models, leaves. Bounded, because tenants may be many. */
export class QuotedNames {
  readonly #quoted = new Map<string, string>()

  get(name: string): string {
    let text = this.#quoted.get(name)
    if (text === undefined) {
      if (this.#quoted.size >= 4096) this.#quoted.clear()
      text = quote(name)
      this.#quoted.set(name, text)
    }
    return text
  }
}
