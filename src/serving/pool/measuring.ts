// Finds out in the background what versions really take, one at a time: a measurement loads the version once more, beside the server.
import type { Platform, Timer } from '../../core/index.js'
import type { VersionArtifact } from '../../tensor/index.js'

export interface Measuring {
  /** `done` hears the bytes; nobody does when they cannot be measured, and the estimate stays. */
  add(artifact: VersionArtifact, estimateBytes: number, done: (bytes: number) => void): void
  stop(): void
}

interface Due {
  readonly artifact: VersionArtifact
  readonly estimateBytes: number
  done(bytes: number): void
}

/** A server that has started has better things to do first. */
const PAUSE_MS = 5_000

/** `hasRoom`: a version of so many bytes may be loaded once more for a moment. */
export function measureOneByOne(
  measure: ((artifact: VersionArtifact) => Promise<number>) | undefined,
  { clock, logger }: Platform,
  hasRoom: (bytes: number) => boolean,
): Measuring {
  /** By digest: many versions may be of the same file. */
  const due = new Map<string, Due>()
  let timer: Timer | undefined
  let isMeasuring = false

  function soon(): void {
    if (timer !== undefined || isMeasuring || due.size === 0) return
    timer = clock.after(PAUSE_MS, () => {
      timer = undefined
      void next()
    })
  }

  async function next(): Promise<void> {
    isMeasuring = true
    for (const [key, { artifact, estimateBytes, done }] of due) {
      if (!hasRoom(estimateBytes)) continue
      due.delete(key)
      try {
        const bytes = await measure!(artifact)
        logger.debug({ ...artifact.ref, bytes, estimateBytes }, 'measured what a version takes')
        done(bytes)
      } catch (error) {
        logger.warn({ err: error, ...artifact.ref }, 'what a version takes could not be measured; its estimate counts')
      }
    }
    isMeasuring = false
    soon()
  }

  return {
    add(artifact, estimateBytes, done) {
      if (measure === undefined) return
      due.set(`${artifact.ref.model}/${artifact.ref.version}`, { artifact, estimateBytes, done })
      soon()
    },
    stop() {
      timer?.cancel()
      due.clear()
    },
  }
}
