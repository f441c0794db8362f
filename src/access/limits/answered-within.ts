// A store that hangs is one that is away: whoever asks it does not wait for longer than this.
import type { Clock } from '../../core/index.js'

/** Of an answer that did not come in time. */
export class NoAnswerError extends Error {}

/** Rejects with NoAnswerError when there is no answer by then. What comes later is the asker's own to deal with. */
export function answeredWithin<T>(clock: Clock, limitMs: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () => {
      // In a process that was held up itself, the answer may have arrived and not been read.
      setImmediate(() => reject(new NoAnswerError(`no answer within ${limitMs} ms`)))
    })
    answer.then(resolve, reject).finally(() => timer.cancel())
  })
}
