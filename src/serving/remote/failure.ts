// Why one try of a request failed, and whether another may be made.
import type { HeadraceError } from '../../core/index.js'
import { TensorErrors } from '../../tensor/index.js'
import { RemoteErrors } from './errors.js'

export interface RemoteFailureOptions {
  /** What is the matter with the server, as in "it cannot be reached: …" without the "it". */
  readonly because?: string
  /** Nothing of an answer had come: the server did not run it, or running it again does no harm. */
  readonly mayRetry?: boolean
  /** Something is wrong with the server, not with this request: it is looked at. */
  readonly isSuspicious?: boolean
  /** The server says for itself that it is not ready; that needs no second look. */
  readonly isDefinite?: boolean
  /** When the server wants to be asked again. */
  readonly retryAfterMs?: number | undefined
}

export class RemoteFailure {
  readonly because: string
  readonly mayRetry: boolean
  readonly isSuspicious: boolean
  readonly isDefinite: boolean
  readonly retryAfterMs: number | undefined

  constructor(
    readonly error: HeadraceError,
    {
      because = error.message,
      mayRetry = false,
      isSuspicious = false,
      isDefinite = false,
      retryAfterMs,
    }: RemoteFailureOptions = {},
  ) {
    this.because = because
    this.mayRetry = mayRetry
    this.isSuspicious = isSuspicious
    this.isDefinite = isDefinite
    this.retryAfterMs = retryAfterMs
  }
}

const BUSY_RETRY_MS = 1000
/** Of what a server says in messages. */
const MAX_SAID = 500

/** Makes failures of one version's server. */
export class Failures {
  constructor(
    readonly model: string,
    readonly server: string,
  ) {}

  unreachable(reason: string, hadAnswer = false): RemoteFailure {
    return new RemoteFailure(RemoteErrors.UNREACHABLE({ ...this.#where(), reason: phrase(reason) }), {
      because: `cannot be reached: ${phrase(reason)}`,
      mayRetry: !hadAnswer,
      isSuspicious: true,
    })
  }

  /** The server itself says that it cannot answer now. */
  busy(said: string, retryAfterMs: number | undefined, mayRetry: boolean): RemoteFailure {
    const error = RemoteErrors.BUSY({
      ...this.#where(),
      said: phrase(said),
      retryAfterMs: retryAfterMs ?? BUSY_RETRY_MS,
    })
    return new RemoteFailure(error, {
      because: `is too busy: ${phrase(said)}`,
      mayRetry,
      retryAfterMs,
      isSuspicious: mayRetry,
    })
  }

  timeout(limitMs: number): RemoteFailure {
    return new RemoteFailure(RemoteErrors.TIMEOUT({ ...this.#where(), limitMs: Math.round(limitMs) }), {
      because: `did not answer within ${Math.round(limitMs)} ms`,
      isSuspicious: true,
    })
  }

  inputRefused(said: string): RemoteFailure {
    return new RemoteFailure(RemoteErrors.INPUT_REFUSED({ ...this.#where(), said: sentence(said) }))
  }

  inputNotText(input: string, element: number): RemoteFailure {
    return new RemoteFailure(RemoteErrors.INPUT_NOT_TEXT({ ...this.#where(), input, element }))
  }

  refused(status: string, said: string): RemoteFailure {
    const error = RemoteErrors.REFUSED({ ...this.#where(), status, said: sentence(said) })
    return new RemoteFailure(error, { because: `refuses with ${status}: ${phrase(said)}`, isSuspicious: true })
  }

  failed(status: string, said: string): RemoteFailure {
    return new RemoteFailure(RemoteErrors.FAILED({ ...this.#where(), status, said: sentence(said) }))
  }

  invalid(problem: string, cause?: unknown): RemoteFailure {
    return new RemoteFailure(RemoteErrors.REPLY_INVALID({ ...this.#where(), problem: phrase(problem) }, cause), {
      because: `gives answers that are none: ${phrase(problem)}`,
      isSuspicious: true,
    })
  }

  tooLarge(limitBytes: number): RemoteFailure {
    return new RemoteFailure(RemoteErrors.REPLY_TOO_LARGE({ ...this.#where(), limitBytes }))
  }

  /** Of a look at the server: it answers, but not for this model. */
  unready(reason: string): RemoteFailure {
    const because = `is not ready: ${phrase(reason)}`
    return new RemoteFailure(this.waiting(because, BUSY_RETRY_MS), { because, isDefinite: true })
  }

  /** What callers hear while the server is known to be unwell. */
  waiting(because: string, retryAfterMs: number): HeadraceError {
    return RemoteErrors.UNREADY({ ...this.#where(), because, retryAfterMs })
  }

  signatureUnknown(problem: string): RemoteFailure {
    return new RemoteFailure(RemoteErrors.SIGNATURE_UNKNOWN({ ...this.#where(), problem: phrase(problem) }))
  }

  #where(): { model: string; server: string } {
    return { model: this.model, server: this.server }
  }
}

/** Whether an error says that elements of a tensor are no text, which JSON cannot carry. */
export function isNotText(error: unknown): error is HeadraceError {
  return (error as HeadraceError | undefined)?.code === NOT_TEXT
}

const NOT_TEXT = TensorErrors.OUTPUT_NOT_TEXT({ output: '', index: 0 }).code

function sentence(said: string): string {
  const text = clip(said)
  return /[.!?…]$/.test(text) ? text : `${text}.`
}

/** For the middle of a sentence. */
function phrase(said: string): string {
  return clip(said).replace(/\.+$/, '')
}

/** Printable and short, because it came from elsewhere and goes into logs. */
function clip(said: string): string {
  const text = said.replace(/[^\x20-\x7e\u00a0-\uffff]+/g, ' ').trim()
  if (text === '') return 'it gave no reason'
  return text.length > MAX_SAID ? `${text.slice(0, MAX_SAID)}…` : text
}
