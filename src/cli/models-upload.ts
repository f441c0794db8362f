// Sends a version's files in pieces. Everything is announced by digest first: what the server has is not sent, and a push that was cut off
// goes on where it was when it is given again.
import { open, stat } from 'node:fs/promises'
import { basename, dirname, extname, relative } from 'node:path'
import { fileDigest, findFiles, nativeFormat, type RegisteredVersion, type UploadSession } from '../registry/index.js'
import type { Api } from './context.js'
import { CliErrors } from './errors.js'
import { readInput } from './input-file.js'

export interface SaidOptions {
  readonly allowSame?: true
  readonly description?: string
  readonly card?: string
  readonly owner?: string
  readonly team?: string
  readonly tag?: readonly string[]
  readonly metric?: readonly string[]
  readonly run?: string
  readonly code?: string
  readonly dataset?: readonly string[]
  readonly parent?: readonly string[]
}

const PIECE_BYTES = 8 * 1024 * 1024

export async function pushFile(
  api: Api,
  model: string,
  file: string,
  manifest: string | undefined,
  said: SaidOptions,
): Promise<{ readonly version: RegisteredVersion; readonly isNew: boolean }> {
  const sources = await sourcesOf(file, manifest)
  const files = await Promise.all(
    [...sources].map(async ([path, source]) => ({
      path,
      digest: await fileDigest(source),
      sizeBytes: (await stat(source)).size,
    })),
  )
  const upload = await api.json<UploadSession>('POST', '/api/v1/registry/uploads', {
    model,
    files,
    mustServe: true,
    ...(await factsOf(said)),
  })
  const base = `/api/v1/registry/uploads/${upload.id}`
  for (const { path, offset, sizeBytes } of upload.files) {
    const handle = await open(sources.get(path)!, 'r')
    try {
      const piece = Buffer.alloc(Math.min(PIECE_BYTES, Math.max(0, sizeBytes - offset)))
      for (let at = offset; at < sizeBytes; ) {
        const { bytesRead } = await handle.read(piece, 0, piece.length, at)
        if (bytesRead === 0)
          throw CliErrors.FILE_UNREADABLE({ file: path, reason: 'it became shorter while it was sent' })
        await api.request('PUT', `${base}/file?path=${encodeURIComponent(path)}&offset=${at}`, {
          body: piece.subarray(0, bytesRead),
          headers: { 'Content-Type': 'application/octet-stream' },
        })
        at += bytesRead
      }
    } finally {
      await handle.close()
    }
  }
  return api.json('POST', `${base}/finish`, {})
}

/** Files by the paths that they get in the version. Throws REGISTRY_FILE_NOT_FOUND and REGISTRY_NOT_ONNX. */
async function sourcesOf(file: string, manifest: string | undefined): Promise<Map<string, string>> {
  if (manifest !== undefined) await readInput(manifest)
  if ((await nativeFormat(file)) !== undefined)
    return new Map([
      [`source${extname(file) || '.txt'}`, file],
      ...(manifest === undefined ? [] : [['model.json', manifest] as const]),
    ])
  await readable(file)
  const found = await findFiles(file, manifest)
  return new Map([
    ['model.onnx', found.model],
    ...(found.manifest === undefined || (manifest === undefined && basename(found.manifest) === basename(file))
      ? []
      : [['model.json', found.manifest] as const]),
    ...found.external.map((path) => [relative(dirname(found.model), path).replaceAll('\\', '/'), path] as const),
  ])
}

async function readable(file: string): Promise<void> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'ENOENT' ? 'there is no such file' : error.message
    throw CliErrors.FILE_UNREADABLE({ file, reason }, error)
  })
  await handle.close()
}

async function factsOf({
  allowSame,
  description,
  card,
  owner,
  team,
  tag,
  metric,
  run,
  code,
  dataset,
  parent,
}: SaidOptions) {
  const lineage = {
    ...(run === undefined ? {} : { runId: run }),
    ...(code === undefined ? {} : { codeVersion: code }),
    ...(dataset?.length ? { datasets: dataset.map(pair).map(([name, digest]) => ({ name, digest })) } : {}),
    ...(parent?.length ? { parents: parent } : {}),
  }
  return {
    ...(allowSame ? { allowSame } : {}),
    ...(description === undefined ? {} : { description }),
    ...(card === undefined ? {} : { card: (await readInput(card)).toString('utf8') }),
    ...(owner === undefined ? {} : { owner }),
    ...(team === undefined ? {} : { team }),
    ...(tag?.length ? { tags: Object.fromEntries(tag.map(pair)) } : {}),
    ...(metric?.length ? { metrics: Object.fromEntries(metric.map(pair).map(metricOf)) } : {}),
    ...(Object.keys(lineage).length > 0 ? { lineage } : {}),
  }
}

/** Throws CLI_USAGE. */
export function pair(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at <= 0)
    throw CliErrors.USAGE({ problem: `"${text}" is not like name=value.`, help: 'headrace models push --help' })
  return [text.slice(0, at), text.slice(at + 1)]
}

function metricOf([name, text]: [string, string]): [string, number | string] {
  if (['NaN', 'Infinity', '-Infinity'].includes(text)) return [name, text]
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value)) return [name, value]
  throw CliErrors.USAGE({
    problem: `The metric "${name}" is "${text}", which is no number.`,
    help: 'headrace models push --help',
  })
}
