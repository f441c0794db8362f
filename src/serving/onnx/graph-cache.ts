// Optimised graphs on disk. What ONNX Runtime makes of a graph of many nodes takes it far longer than loading the result: 1,200 ms
// and 140 for 10,000 nodes, 400 and 130 for 2,000; for 100 MB of weights in few nodes it is no gain at all (bench of 2026-11-22), so
// only graphs of many nodes are kept. Runs in loading threads, of one process or several.
import { createHash } from 'node:crypto'
import { appendFile, mkdir, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { threadId } from 'node:worker_threads'
import type { ExecutionProvider } from '../../tensor/index.js'

export interface GraphCacheOptions {
  readonly folder: string
  /** What is there is kept below this; the least recently used goes first. */
  readonly maxBytes: number
}

/** Below this the passes of the optimiser cost less than the file. */
export const LEAST_NODES = 200

const DIGEST_BYTES = 32
const SUFFIX = '.graph'

export class GraphCache {
  #saved = 0

  constructor(
    private readonly options: GraphCacheOptions,
    private readonly nowMs: number,
  ) {}

  /** The name of a version's graph: of everything that the optimised graph depends on. */
  async key(digest: string, runtimeVersion: string, providers: readonly ExecutionProvider[]): Promise<string> {
    const parts = [
      '1',
      digest,
      runtimeVersion,
      process.platform,
      process.arch,
      await processor(),
      JSON.stringify(providers),
    ]
    return createHash('sha256').update(parts.join('\n')).digest('hex')
  }

  /** Undefined when it is not there, or is not what was written. */
  async read(key: string): Promise<Uint8Array | undefined> {
    const file = this.#file(key)
    const content = await readFile(file).catch(() => undefined)
    if (content === undefined) return undefined
    const graph = content.subarray(0, Math.max(0, content.length - DIGEST_BYTES))
    if (!createHash('sha256').update(graph).digest().equals(content.subarray(graph.length))) {
      await this.drop(key)
      return undefined
    }
    // For the order in which graphs are dropped; one that was dropped meanwhile was read all the same.
    await utimes(file, this.nowMs / 1000, this.nowMs / 1000).catch(() => undefined)
    // A Buffer may share its memory with others and could then not be handed to another thread.
    const isAlone = content.byteLength === content.buffer.byteLength
    return isAlone ? new Uint8Array(content.buffer, 0, graph.length) : new Uint8Array(graph)
  }

  /** Where ONNX Runtime is to write the graph; `keep` takes it from there. */
  async reserve(): Promise<string> {
    await mkdir(this.options.folder, { recursive: true })
    return join(this.options.folder, `.${process.pid}-${threadId}-${++this.#saved}.tmp`)
  }

  async keep(key: string, written: string): Promise<void> {
    const graph = await readFile(written)
    await appendFile(written, createHash('sha256').update(graph).digest())
    await utimes(written, this.nowMs / 1000, this.nowMs / 1000)
    await rename(written, this.#file(key))
    await this.#shrink()
  }

  async drop(key: string): Promise<void> {
    await rm(this.#file(key), { force: true })
  }

  async discard(written: string): Promise<void> {
    await rm(written, { force: true })
  }

  /** Others may do the same at the same time: what is gone already is no failure. */
  async #shrink(): Promise<void> {
    const { folder, maxBytes } = this.options
    const names = (await readdir(folder)).filter((name) => name.endsWith(SUFFIX))
    const files = await Promise.all(
      names.map(async (name) => {
        const found = await stat(join(folder, name)).catch(() => undefined)
        return { file: join(folder, name), bytes: found?.size ?? 0, usedMs: found?.mtimeMs ?? 0 }
      }),
    )
    let total = files.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const { file, bytes } of files.sort((a, b) => a.usedMs - b.usedMs)) {
      if (total <= maxBytes) return
      await rm(file, { force: true })
      total -= bytes
    }
  }

  #file(key: string): string {
    return join(this.options.folder, `${key}${SUFFIX}`)
  }
}

let known: string | undefined

/** The optimiser lays weights out for the vector instructions it finds. */
async function processor(): Promise<string> {
  if (known === undefined) {
    const info = await readFile('/proc/cpuinfo', 'utf8').catch(() => '')
    known = `${cpus()[0]?.model ?? ''} ${/^(?:flags|Features)\s*:(.*)$/m.exec(info)?.[1] ?? ''}`
  }
  return known
}
