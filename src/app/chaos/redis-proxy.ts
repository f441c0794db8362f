// A TCP proxy before Redis that drops or slows its connections when a fault says so.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Clock } from '../../core/index.js'
import { ChaosErrors } from './errors.js'
import type { Faults } from './faults.js'

export interface RedisProxy {
  /** What to connect to instead. */
  readonly url: string
  close(): Promise<void>
}

/** Throws CHAOS_NOT_POSSIBLE for a URL it cannot stand before, of TLS for instance. */
export async function openRedisProxy(url: string, faults: Faults, clock: Clock): Promise<RedisProxy> {
  const target = new URL(url)
  if (target.protocol !== 'redis:')
    throw ChaosErrors.NOT_POSSIBLE({
      fault: 'redis',
      reason: `it can stand before redis:// only, not ${target.protocol}`,
    })
  const port = Number(target.port || 6379)
  const pairs = new Set<Socket>()
  const server = createServer((client) => {
    if (faults.find('redis')?.fault.mode === 'drop') {
      client.destroy()
      return
    }
    const redis = connect({ host: target.hostname, port, noDelay: true })
    for (const [from, to] of [
      [client, redis],
      [redis, client],
    ] as const) {
      pairs.add(from)
      from.on('data', (chunk) => {
        const slow = faults.find('redis')?.fault
        // Each chunk is as late as the one before it: their order stays.
        if (slow?.mode === 'slow') clock.after(slow.ms, () => to.write(chunk))
        else to.write(chunk)
      })
      from.on('error', () => to.destroy())
      from.on('close', () => {
        pairs.delete(from)
        to.destroy()
      })
    }
  })
  faults.watch((active) => {
    if (active.some(({ fault }) => fault.kind === 'redis' && fault.mode === 'drop'))
      for (const socket of pairs) socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const proxied = new URL(url)
  proxied.hostname = '127.0.0.1'
  proxied.port = String((server.address() as AddressInfo).port)
  return {
    url: proxied.href,
    async close() {
      for (const socket of pairs) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
