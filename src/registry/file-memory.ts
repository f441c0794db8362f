// What was found out about files, by path, for as long as they do not change. Without it a start with a thousand models reads and hashes
// all of them again. Whoever loads a version checks its digest anyway.
import { stat } from 'node:fs/promises'
import type { Digest } from '../core/index.js'
import { fileDigest } from './digest.js'

export interface FileFacts {
  /** What changes when the file is written, replaced or touched. */
  readonly stamp: string
  readonly digest: Digest
}

/** A model file that was found to be whole by itself. */
export interface WholeFacts {
  /** Of everything in its folder. */
  readonly wholeStamp: string
}

export interface FileMemory {
  get(key: string): FileFacts | WholeFacts | undefined
  set(key: string, facts: FileFacts | WholeFacts): void
}

/** Spares reading files that have not changed since they were read last. */
export interface KnownFiles {
  readonly memory: FileMemory | undefined
  /** Wall time, as the file system has it. */
  readonly nowMs: () => number
}

/** A file may change twice within the resolution of its times: what changed a moment ago is not remembered. */
const SETTLED_MS = 2_000

/** The digest of a file, from memory if it has not changed. Rejects with the file system's error when it cannot be read. */
export async function knownDigest(file: string, known: KnownFiles | undefined): Promise<Digest> {
  const memory = known?.memory
  if (memory === undefined) return fileDigest(file)
  const { stamp, changedMs } = await stampOf(file)
  const facts = memory.get(file)
  if (facts !== undefined && 'stamp' in facts && facts.stamp === stamp) return facts.digest
  const digest = await fileDigest(file)
  const after = await stampOf(file)
  if (after.stamp === stamp && known!.nowMs() - changedMs > SETTLED_MS) memory.set(file, { stamp, digest })
  return digest
}

/** Whether a model file is known to be whole. */
export function isKnownWhole(model: string, wholeStamp: string, { memory }: KnownFiles): boolean {
  const facts = memory?.get(wholeKey(model))
  return facts !== undefined && 'wholeStamp' in facts && facts.wholeStamp === wholeStamp
}

export function rememberWhole(model: string, wholeStamp: string, { memory }: KnownFiles): void {
  memory?.set(wholeKey(model), { wholeStamp })
}

function wholeKey(model: string): string {
  return `whole ${model}`
}

async function stampOf(file: string): Promise<{ readonly stamp: string; readonly changedMs: number }> {
  const { size, mtimeNs, ctimeNs, ino } = await stat(file, { bigint: true })
  return { stamp: `${size} ${mtimeNs} ${ctimeNs} ${ino}`, changedMs: Number(ctimeNs / 1_000_000n) }
}
