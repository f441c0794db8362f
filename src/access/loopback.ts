// What protects a server that has no keys yet: it listens on loopback only, and it refuses what a foreign web page could send there.
import { AccessErrors } from './errors.js'

const LOOPBACK_HOST = /^(localhost|127(?:\.\d{1,3}){3}|\[::1\]|::1)$/i

export function isLoopback(host: string): boolean {
  return LOOPBACK_HOST.test(host)
}

/** Throws ACCESS_INSECURE_BIND when an unauthenticated server would be reachable from other machines. */
export function checkBind(host: string, options: { readonly insecure: boolean }): void {
  if (!options.insecure && !isLoopback(host)) throw AccessErrors.INSECURE_BIND({ host })
}

const REMEMBERED_HOSTS = 64

/**
 * Checks Host and Origin of requests to an unauthenticated loopback server. The few hosts and origins that callers use
 * are remembered, because this runs for every request.
 */
export function createLoopbackGuard(): (host: string | undefined, origin: string | undefined) => void {
  const allowedHosts = new Set<string>()
  return (host, origin) => {
    if (host !== undefined && !allowedHosts.has(host)) {
      if (!isLoopback(withoutPort(host))) throw AccessErrors.HOST_REFUSED({ host: host.slice(0, 100) })
      if (allowedHosts.size < REMEMBERED_HOSTS) allowedHosts.add(host)
    }
    if (origin !== undefined && !isLoopbackOrigin(origin))
      throw AccessErrors.ORIGIN_REFUSED({ origin: origin.slice(0, 100) })
  }
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, '')
}

function isLoopbackOrigin(origin: string): boolean {
  const match = /^https?:\/\/([^/]+)$/i.exec(origin)
  return match !== null && isLoopback(withoutPort(match[1]!))
}
