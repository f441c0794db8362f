// Headers of a remote.json with their environment variables filled in, so that secrets are in no file and no digest.
import { validateHeaderValue } from 'node:http'
import { RemoteErrors } from './errors.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** Throws REMOTE_ENVIRONMENT_MISSING and REMOTE_HEADER_INVALID; neither shows a value. */
export function filledHeaders(
  model: string,
  headers: Readonly<Record<string, string>>,
  environment: Environment,
): Readonly<Record<string, string>> {
  const missing = new Set<string>()
  const filled = Object.entries(headers).map(([name, value]) => [
    name,
    value.replace(/\$\{([^}]*)\}/g, (_, variable: string) => {
      const found = environment[variable]
      if (found === undefined) missing.add(variable)
      return found ?? ''
    }),
  ])
  if (missing.size > 0) throw RemoteErrors.ENVIRONMENT_MISSING({ model, variables: [...missing] })
  for (const [name, value] of filled) {
    try {
      validateHeaderValue(name!, value!)
    } catch {
      throw RemoteErrors.HEADER_INVALID({ model, header: name! })
    }
  }
  return Object.fromEntries(filled)
}
