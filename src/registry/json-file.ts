// JSON that people write, checked by a schema: every problem at once, each with what arrived and what to do.
import { z } from 'zod'
import { didYouMean } from '../core/index.js'
import { RegistryErrors } from './errors.js'

/**
 * The value that the schema makes of a file's text; `source` names the file in messages and `file` is what it is called. `knownKeys`
 * are those of the object at a path. Throws REGISTRY_MANIFEST_INVALID.
 */
export function readJsonFile<T extends z.ZodType>(
  text: string,
  source: string,
  file: string,
  schema: T,
  knownKeys: (path: readonly PropertyKey[]) => readonly string[],
): z.infer<T> {
  const value = parseJson(text.replace(/^\uFEFF/, ''), source)
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.flatMap((issue) => describeIssue(issue, value, file, knownKeys))
  throw RegistryErrors.MANIFEST_INVALID({ source, problems })
}

/** Marks an issue whose message says all there is to say. */
export const WHOLE = { isWhole: true }

export const objectOf = (what: string) => ({ error: `${what} is needed` })

export const wholeNumber = (least: number, unit: string) => {
  const error = `a whole number of ${unit}, at least ${least}, is needed`
  return z.number({ error }).int({ error }).min(least, { error })
}

export const text = (what: string) =>
  z.string({ error: `${what} is needed` }).min(1, { error: 'text that is not empty is needed' })

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    const at = /at position (\d+)/.exec(message)?.[1]
    const where = at === undefined ? '' : ` on line ${text.slice(0, Number(at)).split('\n').length}`
    const problems = [
      `it is not valid JSON${where} (${message}). Comments and trailing commas are not allowed in JSON.`,
    ]
    throw RegistryErrors.MANIFEST_INVALID({ source, problems }, cause)
  }
}

function describeIssue(
  issue: z.core.$ZodIssue,
  root: unknown,
  file: string,
  knownKeys: (path: readonly PropertyKey[]) => readonly string[],
): string[] {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(issue.path)
    return issue.keys.map((key) => {
      const near = didYouMean(key, known)
      const remedy = near ? `Did you mean "${near}"?` : `The keys there are ${known.join(', ')}.`
      return `"${pathText([...issue.path, key])}" is not a key of ${file}. ${remedy}`
    })
  }
  if (issue.code === 'custom' && issue.params === WHOLE) return [`${issue.message}.`]
  const arrived = describeValue(at(root, issue.path))
  const subject = issue.path.length === 0 ? `the file holds ${arrived}` : `"${pathText(issue.path)}" is ${arrived}`
  return [`${subject}; ${issue.message}.`]
}

function at(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key]
  return value
}

/** `warmup[0].inputs.amount` */
function pathText(path: readonly PropertyKey[]): string {
  return path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i === 0 ? '' : '.'}${String(key)}`)).join('')
}

function describeValue(value: unknown): string {
  if (value === undefined) return 'missing'
  const text = JSON.stringify(value)
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`
}
