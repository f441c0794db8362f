// Mistakes in definitions, gathered so that all are told at once.
import { didYouMean, HeadraceError } from '../../core/index.js'
import { checkValue, isValueType } from '../check-value.js'
import { type Duration, durationMs } from '../duration.js'
import { type DefinitionProblem, FeatureErrors } from '../errors.js'
import type { Value, ValueType } from '../value.js'

const NAME = /^[A-Za-z][A-Za-z0-9_]{0,127}$/

export class Problems {
  private readonly found: DefinitionProblem[] = []

  add(path: string, problem: string, remedy: string): void {
    this.found.push({ path, problem, remedy })
  }

  /** Throws FEATURE_DEFINITION_INVALID when there is any. */
  throwIfAny(): void {
    if (this.found.length > 0) throw FeatureErrors.DEFINITION_INVALID({ problems: this.found })
  }

  name(path: string, name: unknown): boolean {
    if (typeof name === 'string' && NAME.test(name)) return true
    this.add(path, `${show(name)} is no name.`, 'Use letters, digits and "_", beginning with a letter, at most 128.')
    return false
  }

  type(path: string, type: unknown): type is ValueType {
    if (isValueType(type)) return true
    this.add(
      path,
      `${show(type)} is no type.`,
      'Types are float64, float32, int64, int32, bool, string, timestamp, float64[], int64[], string[], bool[] and float32[n].',
    )
    return false
  }

  /** undefined where none was given or it is wrong. */
  duration(path: string, duration: Duration | undefined): number | undefined {
    if (duration === undefined) return undefined
    return this.attempt(path, () => durationMs(duration, 'It'))
  }

  /** The answer when there is no value. */
  fallback(path: string, type: ValueType, value: unknown): Value {
    return this.attempt(`${path}.default`, () => checkValue(type, value, 'The default')) ?? null
  }

  unknown(path: string, what: string, name: string, known: readonly string[]): void {
    const near = didYouMean(name, known)
    const remedy =
      near !== undefined
        ? `Did you mean "${near}"?`
        : known.length === 0
          ? 'It has none.'
          : `It has: ${known.slice(0, 20).join(', ')}${known.length > 20 ? ', …' : ''}.`
    this.add(path, `${what} "${name}".`, remedy)
  }

  /** Names that differ only in case clash too: Parquet files and SQL do not tell them apart. */
  clashes(path: string, names: readonly string[], problemOf: (name: string) => string, remedy: string): void {
    const seen = new Set<string>()
    for (const name of names) {
      const folded = name.toLowerCase()
      if (seen.has(folded)) this.add(path, problemOf(name), remedy)
      seen.add(folded)
    }
  }

  /** What `make` gives; undefined when it throws one of our errors, which is told. */
  attempt<T>(path: string, make: () => T): T | undefined {
    try {
      return make()
    } catch (error) {
      if (!(error instanceof HeadraceError)) throw error
      this.add(path, error.message, '')
      return undefined
    }
  }
}

export function show(value: unknown): string {
  return typeof value === 'string' ? `"${value.slice(0, 80)}"` : value === null ? 'null' : `a ${typeof value}`
}
