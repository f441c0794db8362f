// Versions seen for the first time, written down together: a thousand of them at a start are one transaction, not a thousand.
import { type Digest, type HeadraceError, versionKey } from '../core/index.js'
import type { Change, Evidence } from '../decisions/index.js'
import type { SeenVersion } from './engines.js'

export interface SightingsOptions {
  /** By `model/version`. */
  readonly digests: ReadonlyMap<string, Digest>
  /** Makes all changes or none; they have taken effect when it resolves. */
  readonly decide: (changes: readonly Sighting[]) => Promise<unknown>
  /** Runs a callback when what is there to be seen has been seen; default `setImmediate`. */
  readonly defer?: (callback: () => void) => void
}

export interface Sighting {
  readonly change: Change
  readonly evidence: Evidence
}

interface Due {
  readonly sighting: Sighting
  resolve(): void
  reject(error: HeadraceError): void
}

/** Of one transaction. */
const TOGETHER = 200

export class Sightings {
  readonly #options: SightingsOptions
  #due: Due[] = []
  /** By `model/version`: the same version may be seen by several processes. */
  readonly #underWay = new Map<string, Promise<void>>()
  #last: Promise<void> = Promise.resolve()

  constructor(options: SightingsOptions) {
    this.#options = options
  }

  /** Rejects with what a decision rejects with. */
  async add({ ref, digest, sizeBytes }: SeenVersion, file: string): Promise<void> {
    const subject = versionKey(ref)
    await this.#underWay.get(subject)?.catch(() => undefined)
    if (this.#options.digests.get(subject) === digest) return
    const detail = { model: ref.model, version: ref.version, digest }
    const sighting = { change: { kind: 'version.seen', subject, detail }, evidence: { file, sizeBytes } }
    const written = new Promise<void>((resolve, reject) => {
      if (this.#due.push({ sighting, resolve, reject }) === 1)
        (this.#options.defer ?? setImmediate)(() => this.#write())
    })
    this.#underWay.set(subject, written)
    await written.finally(() => this.#underWay.delete(subject))
  }

  #write(): void {
    this.#last = this.#last.then(async () => {
      const due = this.#due
      this.#due = []
      for (let i = 0; i < due.length; i += TOGETHER) await this.#writeTogether(due.slice(i, i + TOGETHER))
    })
  }

  /** One that is refused must not take the others along. */
  async #writeTogether(due: readonly Due[]): Promise<void> {
    try {
      await this.#options.decide(due.map(({ sighting }) => sighting))
      for (const { resolve } of due) resolve()
    } catch (error) {
      if (due.length === 1) due[0]!.reject(error as HeadraceError)
      else for (const one of due) await this.#writeTogether([one])
    }
  }
}
