// Whose eyes the page has: what the key, if there is one, may look at.
import { createContext, useContext } from 'react'
import type { Caller } from './types.js'

/** Undefined while that is not known: then nothing is said about it. */
export const CallerContext = createContext<Caller | undefined>(undefined)

export function useCaller(): Caller | undefined {
  return useContext(CallerContext)
}

/** The tenant whose traffic alone the caller sees. */
export function tenantOf(caller: Caller | undefined): string | undefined {
  return caller === undefined || caller.tenant === 'default' ? undefined : caller.tenant
}

/** Everything is looked at with any role that names no endpoints. */
export function seesAll(caller: Caller | undefined): boolean {
  return caller === undefined || caller.grants.some(({ on }) => on === undefined)
}

/** How an endpoint does is for who may view it; that it is there is also for who predicts with it. */
export function mayView(caller: Caller | undefined, endpoint: string): boolean {
  return seesAll(caller) || viewedBy(caller!).some((pattern) => matches(pattern, endpoint))
}

export function viewedBy({ grants }: Caller): string[] {
  return [...new Set(grants.flatMap(({ on }) => on ?? ['*']))]
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}
