// Releases that this node stopped by itself, kept in a file of the data folder until the metadata store has the decision: a node that is
// started again in between must not begin with a candidate that was found bad.
import { readFile, rename, writeFile } from 'node:fs/promises'
import type { Evidence } from '../decisions/index.js'

export interface Dropped {
  readonly release: string
  readonly reason: string
  readonly evidence: Evidence
}

export class DroppedJournal {
  readonly #file: string
  readonly #dropped = new Map<string, Dropped>()
  #writing: Promise<void> = Promise.resolve()

  private constructor(file: string, dropped: readonly Dropped[]) {
    this.#file = file
    for (const one of dropped) this.#dropped.set(one.release, one)
  }

  static async open(file: string): Promise<DroppedJournal> {
    let dropped: Dropped[] = []
    try {
      dropped = JSON.parse(await readFile(file, 'utf8')) as Dropped[]
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' && !(error instanceof SyntaxError)) throw error
    }
    return new DroppedJournal(file, dropped)
  }

  has(release: string): boolean {
    return this.#dropped.has(release)
  }

  list(): Dropped[] {
    return [...this.#dropped.values()]
  }

  async add(dropped: Dropped): Promise<void> {
    this.#dropped.set(dropped.release, dropped)
    await this.#save()
  }

  async remove(release: string): Promise<void> {
    if (this.#dropped.delete(release)) await this.#save()
  }

  async #save(): Promise<void> {
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(async () => {
        await writeFile(`${this.#file}.new`, JSON.stringify(this.list()))
        await rename(`${this.#file}.new`, this.#file)
      })
    await this.#writing
  }
}
