// Light or dark: the system's choice, or the one made here, which is kept.
import { useSyncExternalStore } from 'react'

export type Theme = 'light' | 'dark'

const KEY = 'headrace-theme'
const system = matchMedia('(prefers-color-scheme: dark)')
const watchers = new Set<() => void>()

function tell(): void {
  for (const watcher of watchers) watcher()
}

system.addEventListener('change', tell)

export function currentTheme(): Theme {
  const chosen = document.documentElement.dataset['theme']
  if (chosen === 'light' || chosen === 'dark') return chosen
  return system.matches ? 'dark' : 'light'
}

export function switchTheme(): void {
  const next = currentTheme() === 'dark' ? 'light' : 'dark'
  document.documentElement.dataset['theme'] = next
  try {
    localStorage.setItem(KEY, next)
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
  tell()
}

export function useTheme(): Theme {
  return useSyncExternalStore((watcher) => {
    watchers.add(watcher)
    return () => watchers.delete(watcher)
  }, currentTheme)
}

/** A colour of the palette as it is now, for what is drawn on a canvas. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
}
