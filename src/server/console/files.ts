// The console's files as they are sent: read once, compressed once, found by name alone, so that no path leads anywhere else.
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { workerFile } from '../../core/index.js'
import { ConsoleErrors } from './errors.js'

export interface ConsoleFile {
  readonly type: string
  readonly body: Buffer
  readonly gzipped: Buffer
  /** Without quotes. */
  readonly etag: string
  /** Its name changes with what it holds. */
  readonly isImmutable: boolean
}

export interface ConsoleFiles {
  /** Name below the folder: `assets/index-r4FHLaLB.css`. Undefined where there is none. Rejects with CONSOLE_NOT_BUILT. */
  get(name: string): Promise<ConsoleFile | undefined>
}

/** Beside the compiled code; the same when the sources run. */
const BUILT = fileURLToPath(workerFile(import.meta.url, '../../console/'))

const PAGE = 'index.html'
/** Names in it hold a hash of the content. */
const HASHED = 'assets/'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

const compressed = promisify(gzip)

export function createConsoleFiles(folder: string = BUILT): ConsoleFiles {
  let files: Promise<ReadonlyMap<string, ConsoleFile>> | undefined
  let builtMs = 0

  return {
    async get(name) {
      // A new build replaces everything at once; only the page asks for it.
      if (name === PAGE || files === undefined) {
        const { mtimeMs } = await stat(`${folder}/${PAGE}`).catch(() => {
          throw ConsoleErrors.NOT_BUILT()
        })
        if (files === undefined || mtimeMs !== builtMs) files = readAll(folder)
        builtMs = mtimeMs
      }
      const reading = files
      try {
        return (await reading).get(name)
      } catch (error) {
        // A build replaced files while they were read: the next request reads them again.
        if (files === reading) files = undefined
        throw error
      }
    },
  }
}

async function readAll(folder: string): Promise<ReadonlyMap<string, ConsoleFile>> {
  const files = new Map<string, ConsoleFile>()
  for (const entry of await readdir(folder, { recursive: true })) {
    const name = entry.replaceAll('\\', '/')
    const type = TYPES[extname(name)]
    if (type === undefined) continue
    const body = await readFile(`${folder}/${name}`)
    files.set(name, {
      type,
      body,
      gzipped: await compressed(body, { level: 9 }),
      etag: createHash('sha256').update(body).digest('base64url').slice(0, 22),
      isImmutable: name.startsWith(HASHED),
    })
  }
  return files
}
