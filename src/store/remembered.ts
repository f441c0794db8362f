// A map on disk of what could be worked out again, only not quickly: digests of files, what a model looks like. A crash may lose the last
// entries, and damage is skipped; whoever needs them works them out again.
import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Platform, Timer } from '../core/index.js'

export interface Remembered<T> {
  get(key: string): T | undefined
  set(key: string, value: T): void
  /** Writes what is not written yet. */
  close(): Promise<void>
}

export interface RememberedOptions<T> {
  readonly file: string
  readonly platform: Platform
  /** What does not pass is as if it had not been written: damage, or another release's idea of it. */
  readonly isValid: (value: unknown) => value is T
  /** The oldest beyond that are forgotten at the next opening; default 100,000. */
  readonly maxEntries?: number
}

const WRITE_AFTER_MS = 500

/** Several processes may have the same file open: each sees what was there when it opened it, and its own. Never rejects. */
export async function openRemembered<T>(options: RememberedOptions<T>): Promise<Remembered<T>> {
  const { file, platform, isValid, maxEntries = 100_000 } = options
  const { clock, logger } = platform
  const { entries, lines } = await readEntries(file, isValid)
  let unwritten = ''
  let timer: Timer | undefined
  let writing: Promise<void> = Promise.resolve()

  function write(): Promise<void> {
    timer?.cancel()
    timer = undefined
    const text = unwritten
    unwritten = ''
    if (text !== '')
      writing = writing
        .then(() => appendFile(file, text))
        .catch((error: unknown) => logger.warn({ err: error, file }, 'what was worked out could not be remembered'))
    return writing
  }

  try {
    await mkdir(path.dirname(file), { recursive: true })
    if (lines > 2 * entries.size + 100 || entries.size > maxEntries) {
      for (const key of [...entries.keys()].slice(0, Math.max(0, entries.size - maxEntries))) entries.delete(key)
      await writeFile(`${file}.new`, [...entries].map(lineOf).join(''))
      await rename(`${file}.new`, file)
    }
  } catch (error) {
    logger.warn({ err: error, file }, 'what was worked out cannot be remembered')
  }

  return {
    get: (key) => entries.get(key),
    set(key, value) {
      entries.delete(key)
      entries.set(key, value)
      unwritten += lineOf([key, value])
      timer ??= clock.after(WRITE_AFTER_MS, () => void write())
    },
    close: write,
  }
}

function lineOf(entry: readonly [string, unknown]): string {
  return `${JSON.stringify(entry)}\n`
}

async function readEntries<T>(
  file: string,
  isValid: (value: unknown) => value is T,
): Promise<{ entries: Map<string, T>; lines: number }> {
  const entries = new Map<string, T>()
  const text = await readFile(file, 'utf8').catch(() => '')
  const lines = text.split('\n')
  for (const line of lines) {
    if (line === '') continue
    try {
      const [key, value] = JSON.parse(line) as [string, unknown]
      if (!isValid(value)) continue
      entries.delete(key)
      entries.set(key, value)
    } catch {
      // Half a line: the process ended while it was written.
    }
  }
  return { entries, lines: lines.length }
}
