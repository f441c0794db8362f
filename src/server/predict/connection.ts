// The predictions of one connection: what is still queued for a client that goes away is dropped. One listener per
// connection, not per request.
import type { Socket } from 'node:net'
import type { Prediction } from '../../path/index.js'

const connections = new WeakMap<Socket, Connection>()

export class Connection {
  readonly #predictions = new Set<Prediction>()

  private constructor(private readonly socket: Socket) {
    socket.once('close', () => {
      for (const prediction of this.#predictions) prediction.cancelled = true
    })
  }

  static of(socket: Socket): Connection {
    let connection = connections.get(socket)
    if (!connection) {
      connection = new Connection(socket)
      connections.set(socket, connection)
    }
    return connection
  }

  /** Before a prediction goes down the path; it is told at once when the client has gone already. */
  enter(prediction: Prediction): void {
    prediction.cancelled = this.socket.destroyed
    this.#predictions.add(prediction)
  }

  leave(prediction: Prediction): void {
    this.#predictions.delete(prediction)
  }
}
