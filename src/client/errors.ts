// The client's one error class. It stands alone so that the client has no dependencies and runs in browsers.

/**
 * A call that failed. Match `code`: the server's own (`SERVING_QUEUE_FULL`), or one of the client's: `CLIENT_UNREACHABLE`,
 * `CLIENT_TIMEOUT`, and `CLIENT_BAD_RESPONSE` for an answer that a Headrace server would not give.
 */
export class HeadraceClientError extends Error {
  override readonly name = 'HeadraceClientError'
  constructor(
    readonly code: string,
    message: string,
    /** HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** Whether the same call can succeed when sent again unchanged. */
    readonly retry: boolean,
    /** How long the server asked to wait before that. */
    readonly retryAfterMs?: number,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options)
  }
}
