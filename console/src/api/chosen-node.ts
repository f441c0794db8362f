// The node whose traffic is shown; undefined: the sum of all. The choice holds for every page until the tab is closed.
import { useEffect, useSyncExternalStore } from 'react'
import { type Polled, usePoll } from './use-poll.js'

const KEY = 'headrace-node'
const watchers = new Set<() => void>()

function chosen(): string | undefined {
  return sessionStorage.getItem(KEY) ?? undefined
}

export function chooseNode(node: string | undefined): void {
  if (node === undefined) sessionStorage.removeItem(KEY)
  else sessionStorage.setItem(KEY, node)
  for (const watcher of watchers) watcher()
}

export function useChosenNode(): string | undefined {
  return useSyncExternalStore((watcher) => {
    watchers.add(watcher)
    return () => watchers.delete(watcher)
  }, chosen)
}

/** Live figures of the nodes that were chosen. Without a path nothing is asked for. */
export function useLive<T>(path: string | undefined, everyMs: number): Polled<T> {
  const node = useChosenNode()
  const of = path === undefined || node === undefined ? path : `${path}?node=${encodeURIComponent(node)}`
  const polled = usePoll<T>(of, everyMs)
  const isForgotten = polled.error?.code === 'APP_NODE_NOT_FOUND'
  useEffect(() => {
    if (isForgotten) chooseNode(undefined)
  }, [isForgotten])
  return polled
}
