// What a server's refusal, or its silence, is to a command: an error with the server's own code.
import { HeadraceError } from '../core/index.js'
import { CliErrors } from './errors.js'

/** The error that a body says, or the body itself when it is none of a Headrace server. */
export function serverError(status: number, text: string): HeadraceError {
  const { error, code } = parse(text)
  if (typeof error === 'string' && typeof code === 'string')
    return new HeadraceError(code, error, status, false, 'error', {})
  const found = text.slice(0, 300) || 'an empty body'
  return CliErrors.SERVER_ANSWER({ status, found })
}

function parse(text: string): { readonly error?: unknown; readonly code?: unknown } {
  try {
    return (JSON.parse(text) ?? {}) as { error?: unknown; code?: unknown }
  } catch {
    return {}
  }
}

export function unreachable(url: string, error: unknown): HeadraceError {
  // fetch says "fetch failed" and keeps what happened as the cause.
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const reason = cause instanceof Error ? cause.message || String((cause as { code?: unknown }).code) : String(cause)
  return CliErrors.SERVER_UNREACHABLE({ url, reason }, error)
}
