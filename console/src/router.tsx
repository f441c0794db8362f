// Which page the address means. Links are real links, so that they open in new tabs and are read out as links.
import { type AnchorHTMLAttributes, type MouseEvent, useSyncExternalStore } from 'react'

const BASE = '/console'

const watchers = new Set<() => void>()

window.addEventListener('popstate', () => tell())

function tell(): void {
  for (const watcher of watchers) watcher()
}

/** Decoded parts after `/console/`: `['endpoints', 'fraud']`; an undecodable one as it stands. */
export function partsOf(pathname: string): string[] {
  return pathname
    .slice(BASE.length)
    .split('/')
    .filter((part) => part !== '')
    .map((part) => {
      try {
        return decodeURIComponent(part)
      } catch {
        return part
      }
    })
}

export function usePath(): string {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => location.pathname,
  )
}

/** `to` begins after `/console`. */
export function navigate(to: string): void {
  history.pushState(null, '', BASE + to)
  scrollTo(0, 0)
  tell()
}

export function pathTo(...parts: readonly string[]): string {
  return `/${parts.map(encodeURIComponent).join('/')}`
}

interface LinkProps extends AnchorHTMLAttributes<HTMLAnchorElement> {
  readonly to: string
}

export function Link({ to, onClick, ...rest }: LinkProps) {
  const follow = (event: MouseEvent<HTMLAnchorElement>): void => {
    onClick?.(event)
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return
    event.preventDefault()
    navigate(to)
  }
  return <a {...rest} href={BASE + to} onClick={follow} />
}
