// An exchange over the wire.
import type { Credentials } from '../../access/index.js'
import type { HeadraceError } from '../../core/index.js'
import type { Client } from '../predict/client.js'
import type { Exchange, PredictHeader, ReplyForm } from '../predict/exchange.js'
import type { Head } from './head.js'

const NO_FLAGS: readonly string[] = []

/** What an exchange needs of its connection. */
export interface ExchangeConnection {
  readonly client: Client
  /** The rest of the body of the request that came last. Throws HTTP_BODIES_FULL. */
  readBody(): Promise<Uint8Array<ArrayBuffer>>
  /** An exchange has its reply. */
  settle(exchange: WireExchange): void
}

export class WireExchange implements Exchange {
  /** The request that the client sent after this one; replies keep that order. */
  next: WireExchange | undefined = undefined
  isReady = false
  /** The reply: a body and an id, or an error. */
  reply: string | Uint8Array = ''
  id: string | undefined = undefined
  flags: readonly string[] = NO_FLAGS
  form: ReplyForm | undefined = undefined
  error: HeadraceError | undefined = undefined

  constructor(
    private readonly connection: ExchangeConnection,
    readonly head: Head,
    /** Undefined while it is still arriving. */
    private readonly body: Uint8Array<ArrayBuffer> | undefined,
  ) {}

  get url(): string {
    return this.head.url
  }

  get client(): Client {
    return this.connection.client
  }

  get credentials(): Credentials {
    return this.head.headers
  }

  header(name: PredictHeader): string | undefined {
    return this.head.headers[name]
  }

  readBody(): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>> {
    return this.body ?? this.connection.readBody()
  }

  answer(body: string | Uint8Array, id: string, flags: readonly string[], form?: ReplyForm): void {
    this.reply = body
    this.id = id
    this.flags = flags
    this.form = form
    this.isReady = true
    this.connection.settle(this)
  }

  refuse(error: HeadraceError, id?: string, flags: readonly string[] = NO_FLAGS): void {
    this.error = error
    this.id = id
    this.flags = flags
    this.isReady = true
    this.connection.settle(this)
  }
}
