// Hears what other servers announce, on a connection of its own, which is made again for ever. It only says that there may be
// something new: when it was away, and when a pooler between lets nothing through, whoever listens finds out by looking.
import type { Platform, Stop } from '../core/index.js'
import { PostgresConnection } from './postgres-connection.js'

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5_000

export const CHANNEL = 'headrace'

export class PostgresListener {
  readonly #heard = new Set<() => void>()
  #connection: PostgresConnection | undefined
  #failures = 0
  #isStarted = false
  #isClosed = false
  #timer: { cancel(): void } | undefined

  constructor(
    private readonly url: string,
    private readonly platform: Pick<Platform, 'clock' | 'random'>,
  ) {}

  listen(heard: () => void): Stop {
    const listener = () => heard()
    this.#heard.add(listener)
    if (!this.#isStarted) {
      this.#isStarted = true
      void this.#connect()
    }
    return () => this.#heard.delete(listener)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#connection?.close()
  }

  async #connect(): Promise<void> {
    const { clock } = this.platform
    try {
      const connection = await PostgresConnection.open(this.url, clock, () => this.#lost())
      this.#connection = connection
      if (this.#isClosed) {
        await connection.close()
        return
      }
      connection.onNotification(() => this.#tell())
      await connection.query(`listen ${CHANNEL}`)
      this.#failures = 0
      this.#tell()
    } catch {
      // Said by the pool, which meets the same. A connection that was made says that it is lost by itself.
      if (this.#connection === undefined) this.#again()
      else this.#connection.destroy()
    }
  }

  #lost(): void {
    if (this.#connection === undefined) return
    this.#connection = undefined
    this.#again()
  }

  #again(): void {
    if (this.#isClosed) return
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(this.#failures++, 10), LONGEST_PAUSE_MS)
    this.#timer = this.platform.clock.after(
      pauseMs * (0.5 + this.platform.random.next() / 2),
      () => void this.#connect(),
    )
  }

  #tell(): void {
    for (const heard of [...this.#heard]) heard()
  }
}
