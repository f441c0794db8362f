// The subscriptions of one log: all read its files, and are woken when more of them is durable.
import type { Stop } from '../core/index.js'
import { Follower, type FollowerParts } from './follower.js'
import type { LogPosition, StoredRecord } from './types.js'

export class Followers {
  readonly #followers = new Set<Follower>()

  constructor(private readonly parts: FollowerParts) {}

  subscribe(from: LogPosition, batch: (records: StoredRecord[]) => Promise<void>): Stop {
    const follower = new Follower(this.parts, from, batch)
    this.#followers.add(follower)
    void follower.ended.then(() => this.#followers.delete(follower))
    return follower.stop
  }

  wake(): void {
    for (const follower of this.#followers) follower.wake()
  }

  /** Resolves when the last batches are done. */
  async stop(): Promise<void> {
    for (const follower of this.#followers) follower.stop()
    await Promise.all([...this.#followers].map((follower) => follower.ended))
  }
}
