// An exchange over node:http.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Credentials } from '../../access/index.js'
import type { HeadraceError } from '../../core/index.js'
import { readBody } from '../body.js'
import type { Intake } from '../intake.js'
import { sendAnswer, sendError, totalBytes } from '../reply.js'
import type { Client, Clients } from './client.js'
import type { Exchange, PredictHeader, ReplyForm } from './exchange.js'

/** One listener per connection, not per request. */
const clients = new WeakMap<Socket, Client>()

export class NodeExchange implements Exchange {
  readonly client: Client

  constructor(
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    private readonly bodyLimitBytes: number,
    private readonly intake: Intake,
    server: Clients,
  ) {
    this.client = clientOf(request.socket, server)
  }

  get url(): string {
    return this.request.url!
  }

  get credentials(): Credentials {
    return this.request.headers
  }

  header(name: PredictHeader): string | undefined {
    return this.request.headers[name] as string | undefined
  }

  readBody(alignAt = 0): Promise<Uint8Array<ArrayBuffer>> {
    return readBody(this.request, this.bodyLimitBytes, this.intake, alignAt)
  }

  answer(body: string | Uint8Array, id: string, flags: readonly string[], form?: ReplyForm): void {
    sendAnswer(this.response, body, id, flags, form)
    this.intake.holdReply(this.response, totalBytes(body.length, form))
  }

  refuse(error: HeadraceError, id?: string, flags?: readonly string[]): void {
    sendError(this.response, error, id, flags)
  }
}

function clientOf(socket: Socket, server: Clients): Client {
  let client = clients.get(socket)
  if (!client) {
    client = server.open()
    clients.set(socket, client)
    socket.once('close', () => client!.gone())
    if (socket.destroyed) client.gone()
  }
  return client
}
