// Streams the log to one client, no faster than the client reads, until it goes away, has enough, or the server closes.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { LogPosition, PredictionLog, StoredRecord } from '../../log/index.js'

export interface LogReader {
  /** Asked before every write; once it is not, the stream ends. */
  isLetIn(): Promise<boolean>
  mayRead(record: StoredRecord): boolean
}

export function followLog(
  log: Pick<PredictionLog, 'subscribe'>,
  from: LogPosition,
  limit: number,
  response: ServerResponse,
  closing: AbortSignal,
  reader: LogReader,
): void {
  let left = limit
  const end = () => void response.end()
  // Headers at once: a client that follows from now may wait long for its first record.
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' }).flushHeaders()

  async function send(records: StoredRecord[]): Promise<void> {
    if (response.writableEnded || response.destroyed) return
    if (!(await reader.isLetIn())) return end()
    const wanted = records.filter((record) => reader.mayRead(record)).slice(0, left)
    if (wanted.length === 0) return
    left -= wanted.length
    const hasRoom = response.write(wanted.map((record) => `${JSON.stringify(record)}\n`).join(''))
    if (left === 0) response.end()
    else if (!hasRoom) await Promise.race([once(response, 'drain'), once(response, 'close')])
  }

  const stop = log.subscribe(from, send)
  closing.addEventListener('abort', end, { once: true })
  response.once('close', () => {
    stop()
    closing.removeEventListener('abort', end)
  })
}
