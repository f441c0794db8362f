// Looks at the metadata store itself, beside the servers: what was decided, since when it can be seen, and how far a release's row is.
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'

export interface SeenDecision {
  readonly number: number
  readonly kind: string
  readonly subject: string
  readonly timeMs: number
  readonly detail: Readonly<Record<string, string | number | null>>
  readonly before: Readonly<Record<string, unknown>> | null
  readonly evidence: Readonly<Record<string, unknown>>
  readonly by: string
  readonly isUndo: boolean
  readonly hash: string
  /** It was made before this, by this machine's wall clock. */
  readonly seenMs: number
}

/** A look at the row of an active release. */
export interface SeenRow {
  readonly release: string
  readonly step: number
  readonly elapsedMs: number
  readonly state: string
  readonly seenMs: number
}

const LOOK_MS = 100
const GENESIS = '0'.repeat(64)

export class Observer {
  readonly decisions: SeenDecision[] = []
  readonly rows: SeenRow[] = []
  readonly failures: string[] = []
  #client: Client | undefined
  #isOver = false
  readonly #looking: Promise<void>

  constructor(private readonly databaseUrl: string) {
    this.#looking = this.#look()
  }

  /** Resolves once everything that has been decided by now was seen. */
  async caughtUp(): Promise<void> {
    const sinceMs = Date.now()
    while (this.#lookedMs <= sinceMs) await pause(LOOK_MS)
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#looking
    await this.#client?.end().catch(() => undefined)
  }

  /** Node id of the one that leads; undefined when the store does not say so at once. */
  get leader(): string | undefined {
    return this.#leader
  }

  #leader: string | undefined
  #lookedMs = 0

  async #look(): Promise<void> {
    while (!this.#isOver) {
      try {
        const startedMs = Date.now()
        const client = await this.#connected()
        await this.#lookAt(client)
        this.#lookedMs = startedMs
      } catch {
        // The store is down: that is what is being tried.
        this.#client?.end().catch(() => undefined)
        this.#client = undefined
      }
      await pause(LOOK_MS)
    }
  }

  async #connected(): Promise<Client> {
    if (this.#client) return this.#client
    const client = new Client(this.databaseUrl)
    client.on('error', () => {
      if (this.#client === client) this.#client = undefined
    })
    await client.connect()
    this.#client = client
    return client
  }

  async #lookAt(client: Client): Promise<void> {
    const last = this.decisions.at(-1)
    const { rows } = await client.query('select * from decisions where number > $1 order by number', [
      last?.number ?? 0,
    ])
    let { number, hash } = last ?? { number: 0, hash: GENESIS }
    const seenMs = Date.now()
    for (const row of rows) {
      if (Number(row.number) !== number + 1 || row.previous_hash !== hash)
        this.failures.push(`decision ${row.number} does not follow decision ${number} as it was seen`)
      number = Number(row.number)
      hash = row.hash
      this.decisions.push({
        number,
        kind: row.kind,
        subject: row.subject,
        timeMs: Number(row.time_ms),
        detail: JSON.parse(row.detail),
        before: row.before === null ? null : JSON.parse(row.before),
        evidence: JSON.parse(row.evidence),
        by: `${row.by_kind}:${row.by_name}`,
        isUndo: row.undoes !== null,
        hash,
        seenMs,
      })
    }
    const active = await client.query(
      'select id, step, step_elapsed_ms, state from releases where active_endpoint is not null',
    )
    for (const { id, step, step_elapsed_ms: elapsedMs, state } of active.rows)
      this.rows.push({ release: id, step: Number(step), elapsedMs: Number(elapsedMs), state, seenMs: Date.now() })
    const lease = await client.query("select holder from leader_lease where name = 'releases'")
    this.#leader = lease.rows[0]?.holder.split('/')[0]
  }
}
