// The artifact proxy: files of any size through this server, in and out as streams.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { parseDigest } from '../../core/index.js'
import { blobKey } from '../../registry/index.js'
import { type Artifact, TrackingErrors } from '../../tracking/index.js'
import type { Api } from '../api/route.js'
import type { ServerContext } from '../context.js'
import { listed, sendAnswer } from './answer.js'
import { artifactTree, entryShape, folderShape, isRegistered } from './artifact-places.js'
import { storeArtifact } from './artifact-upload.js'
import { checkTexts } from './bodies.js'
import { Fields, isMembers } from './fields.js'
import { BASE, route, TAGS } from './route.js'

const FILES = `${BASE}/mlflow-artifacts/artifacts`
const Empty = Type.Object({}, { additionalProperties: true })

/** With bodies as they are. */
export function artifactRoutes(api: Api, context: ServerContext): void {
  const { app } = context
  const { tracking, registry } = app.services
  const tree = artifactTree(tracking, registry)

  api.removeAllContentTypeParsers()
  api.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  const unchecked = { validatorCompiler: () => () => true }

  api.get(
    FILES,
    { schema: { tags: TAGS, summary: 'What lies in a folder of artifacts', response: { 200: Empty } }, ...unchecked },
    async (request, reply) => {
      checkTexts(request.query, 0)
      const path = new Fields(isMembers(request.query) ? request.query : {}).optional('path') ?? ''
      const entries = await tree.list(path.replace(/^\/+|\/+$/g, ''))
      return sendAnswer(reply, { files: listed(entries.map((entry) => entryShape(entry, ''))) })
    },
  )
  api.get(
    `${FILES}/*`,
    {
      schema: {
        tags: TAGS,
        summary: 'Download an artifact',
        description: 'A `Range` of bytes is honoured. The ETag is the SHA-256 of the file.',
        produces: 'application/octet-stream',
        response: { 200: Type.String() },
      },
      ...unchecked,
    },
    async (request, reply) => sendFile(request, reply, await tree.file(pathOf(request))),
  )
  api.put(
    `${FILES}/*`,
    {
      schema: {
        tags: TAGS,
        summary: 'Upload an artifact',
        description: 'The body is the file. It is visible when all of it has arrived and is stored, and not before.',
        consumes: 'application/octet-stream',
        response: { 200: Empty },
      },
      ...unchecked,
    },
    async (request, reply) => {
      const path = pathOf(request)
      refuseRegistered(path)
      const body = request.body instanceof Readable ? request.body : Readable.from([])
      await storeArtifact(app, path, body)
      return sendAnswer(reply, {})
    },
  )
  api.delete(
    `${FILES}/*`,
    { schema: { tags: TAGS, summary: 'Delete an artifact, or a folder', response: { 200: Empty } }, ...unchecked },
    async (request, reply) => {
      const path = pathOf(request)
      refuseRegistered(path)
      await tracking.deleteArtifact(path)
      return sendAnswer(reply, {})
    },
  )

  async function sendFile(request: FastifyRequest, reply: FastifyReply, file: Artifact): Promise<undefined> {
    const range = rangeOf(request.headers.range, file.sizeBytes)
    if (range === 'invalid') {
      reply.header('Content-Range', `bytes */${file.sizeBytes}`)
      throw TrackingErrors.RANGE_INVALID({ range: request.headers.range!.slice(0, 100), sizeBytes: file.sizeBytes })
    }
    const { start, end } = range ?? { start: 0, end: file.sizeBytes }
    const bytes = await app.blobs.get(blobKey(parseDigest(file.digest)!), { start, end })
    reply.hijack()
    const { raw } = reply
    raw.writeHead(range === undefined ? 200 : 206, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': String(end - start),
      'Content-Disposition': 'attachment',
      'X-Content-Type-Options': 'nosniff',
      'Accept-Ranges': 'bytes',
      ETag: `"${file.digest}"`,
      ...(range === undefined ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${file.sizeBytes}` }),
    })
    if (request.method === 'HEAD') {
      bytes.destroy()
      raw.end()
      return
    }
    // A client that goes away in the middle is no failure of ours; the connection is gone either way.
    await pipeline(bytes, raw).catch(() => raw.destroy())
  }
}

/** For clients that do not use the proxy. */
export function artifactListRoute(api: Api, { app }: ServerContext): void {
  const { tracking } = app.services
  route(api, 'GET', 'artifacts/list', "What lies in a folder of a run's artifacts", async ({ fields }) => {
    const { info } = await tracking.getRun(fields.runId())
    return folderShape(tracking, info.artifactUri, fields.optional('path') ?? '')
  })
}

function pathOf({ params }: FastifyRequest): string {
  return (params as { '*': string })['*']
}

function refuseRegistered(path: string): void {
  if (isRegistered(path))
    throw TrackingErrors.ARTIFACT_PATH_INVALID({
      path,
      problem: 'belongs to a registered version, which does not change',
    })
}

/** One range of bytes; undefined when there is none, or a form that may be ignored (RFC 9110, section 14.2). */
function rangeOf(
  header: string | undefined,
  sizeBytes: number,
): { start: number; end: number } | 'invalid' | undefined {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '')
  if (found === null) return undefined
  const [, first = '', last = ''] = found
  if (first === '' && last === '') return undefined
  if (first === '') {
    const start = Math.max(0, sizeBytes - Number(last))
    return Number(last) === 0 || sizeBytes === 0 ? 'invalid' : { start, end: sizeBytes }
  }
  const start = Number(first)
  const end = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes)
  return start >= sizeBytes || end <= start ? 'invalid' : { start, end }
}
