// Decisions take effect on a node in the order of their numbers and once each, whoever made them. Its own come from the call that
// made them; those of other nodes are found by looking at the store, each second and whenever another node says that there are some.
//
// Effects begin in order and are not waited for in turn: a model that takes minutes to load must not hold up the next decision, and
// what a decision sets off may make another one.
import type { Platform } from '../../core/index.js'
import { type Decision, type DecisionPosition, readDecisionsAfter, readPosition } from '../../decisions/index.js'
import type { Sql } from '../../store/index.js'

const LOOK_MS = 1_000
const PAGE = 500
/** Ends of effects are kept for so many decisions: one that is waited for has just been made. */
const KEPT = 1_000

export interface DecisionFlowOptions {
  readonly sql: Sql
  readonly platform: Pick<Platform, 'clock' | 'logger'>
  /** What the state that the node starts with holds. */
  readonly position: DecisionPosition
  /** The state is from the node's own copy: the store has not been asked yet. */
  readonly isFromCopy: boolean
  /** Brings the state up to date and begins the effects of each; gives their ends, in the same order. */
  begin(decisions: readonly Decision[]): Promise<readonly Promise<unknown>[]>
  /** Reads all of the state again. */
  reread(): Promise<void>
  /** Everything up to here has begun. */
  onAdvance(position: DecisionPosition): void
}

export class DecisionFlow {
  #position: DecisionPosition
  #isFromCopy: boolean
  #confirmedMs: number
  readonly #ends = new Map<number, Promise<unknown>>()
  /** Of this node, waiting for their turn. */
  readonly #made: Decision[] = []
  #last: Promise<unknown> = Promise.resolve()
  #isLookDue = false
  #isStopped = false
  #timer: { cancel(): void } | undefined
  #stopListening: () => void = () => undefined

  constructor(private readonly options: DecisionFlowOptions) {
    this.#position = options.position
    this.#isFromCopy = options.isFromCopy
    this.#confirmedMs = options.isFromCopy ? Number.NEGATIVE_INFINITY : options.platform.clock.monotonicMs()
  }

  get position(): DecisionPosition {
    return this.#position
  }

  /** Looks for decisions of others from now on. A SQLite database has no others. */
  start(): void {
    if (!this.#isShared) return
    this.#stopListening = this.options.sql.listen(() => void this.look())
    this.#again()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#stopListening()
    await this.#last
  }

  /** From before the last question to the store after which everything in it had begun here. */
  confirmedMs(): number {
    return this.#isShared ? this.#confirmedMs : this.options.platform.clock.monotonicMs()
  }

  /** Has decisions that this node has just made take effect, after those before. Rejects with what an effect rejects with. */
  async own(made: readonly Decision[]): Promise<void> {
    const { logger } = this.options.platform
    this.#made.push(...made)
    try {
      // Those that were made meanwhile take effect together: the state is read once for all of them.
      await this.#inTurn(() => this.#take(this.#made.splice(0).sort((one, other) => one.number - other.number)))
    } catch (error) {
      // It is made: to say otherwise would have it made again. The next look at the store finds it.
      logger.warn({ err: error, decision: made[0]?.id }, 'a decision was made and takes effect once the store answers')
      if (!this.#isShared) this.#lookUntilSeen()
      return
    }
    await Promise.all(made.map(({ number }) => this.#ends.get(number)))
  }

  /** Finds what others have decided. Says whether the store answered. */
  async look(): Promise<boolean> {
    // One that waits for its turn will see what this one would.
    if (this.#isLookDue || this.#isStopped) return false
    this.#isLookDue = true
    try {
      await this.#inTurn(async () => {
        this.#isLookDue = false
        await this.#catchUp()
      })
      return true
    } catch {
      // The store says what is wrong with it by itself.
      return false
    } finally {
      this.#isLookDue = false
    }
  }

  get #isShared(): boolean {
    return this.options.sql.dialect === 'postgres'
  }

  /** Nobody looks at a database of one's own by the clock. */
  #lookUntilSeen(): void {
    if (this.#isStopped) return
    this.#timer?.cancel()
    this.#timer = this.options.platform.clock.after(
      LOOK_MS,
      () => void this.look().then((hasLooked) => hasLooked || this.#lookUntilSeen()),
    )
  }

  #again(): void {
    if (this.#isStopped) return
    this.#timer = this.options.platform.clock.after(LOOK_MS, () => void this.look().then(() => this.#again()))
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #catchUp(): Promise<void> {
    const { sql, platform, reread, onAdvance } = this.options
    const askedMs = platform.clock.monotonicMs()
    const head = await readPosition(sql)
    if (this.#isFromCopy) await reread()
    const { number, hash } = this.#position
    if (head.number < number || (head.number === number && head.hash !== hash)) await this.#startOver(head)
    else await this.#readUpTo(head.number)
    if (this.#isFromCopy) {
      this.#isFromCopy = false
      onAdvance(this.#position)
      platform.logger.info({ decision: this.#position.number }, 'this node follows the metadata store again')
    }
    this.#confirmedMs = askedMs
  }

  async #take(made: readonly Decision[]): Promise<void> {
    const due = made.filter(({ number }) => number > this.#position.number)
    const last = due.at(-1)
    if (last === undefined) return
    // Without those of other nodes between them, they need not be read.
    if (last.number === this.#position.number + due.length) await this.#begin(due)
    else await this.#readUpTo(last.number)
  }

  async #readUpTo(number: number): Promise<void> {
    while (this.#position.number < number) {
      const decisions = await readDecisionsAfter(this.options.sql, this.#position.number, PAGE)
      const [first] = decisions
      if (first === undefined) return
      if (first.previousHash !== this.#position.hash) {
        await this.#startOver(await readPosition(this.options.sql))
        return
      }
      await this.#begin(decisions)
    }
  }

  /** The store is not the one that was followed: it was restored, or a standby without its last changes took over. */
  async #startOver(head: DecisionPosition): Promise<void> {
    const { sql, platform, reread } = this.options
    platform.logger.error(
      { decision: this.#position.number, head: head.number },
      'the metadata store has lost decisions that this node had seen; it follows what is there now',
    )
    const [latest] = await readDecisionsAfter(sql, head.number - 1, 1)
    await reread()
    if (latest === undefined) this.#moveTo(head)
    else await this.#begin([latest])
  }

  async #begin(decisions: readonly Decision[]): Promise<void> {
    const ends = await this.options.begin(decisions)
    const last = decisions.at(-1)!
    for (const [i, { id, number }] of decisions.entries()) {
      const end = ends[i]!
      // Told to whoever made it as well, if that was this node.
      end.catch((error: unknown) =>
        this.options.platform.logger.error({ err: error, decision: id }, 'a decision could not take effect here'),
      )
      this.#ends.set(number, end)
    }
    for (const number of this.#ends.keys()) {
      if (number > last.number - KEPT) break
      this.#ends.delete(number)
    }
    this.#moveTo({ number: last.number, hash: last.hash })
  }

  #moveTo(position: DecisionPosition): void {
    this.#position = position
    this.options.onAdvance(position)
  }
}
