// Uploads in parts, which clients use for files of 500 MiB and more when MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD is set. Each part is kept
// whole or not at all, so that only the missing ones are sent again after a failure; completing makes one file of them.
import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { idTimeMs } from '../../core/index.js'
import { TrackingErrors } from '../../tracking/index.js'
import type { Api } from '../api/route.js'
import type { ServerContext } from '../context.js'
import { sendAnswer } from './answer.js'
import { isRegistered } from './artifact-places.js'
import { storeArtifact } from './artifact-upload.js'
import { Fields, isMembers } from './fields.js'
import { BASE, TAGS } from './route.js'

const UPLOADS = `${BASE}/mlflow-artifacts/mpu`
const MAX_PARTS = 10_000
/** A client that has not come back for so long will not. */
const FORGOTTEN_MS = 7 * 86_400_000
const Empty = Type.Object({}, { additionalProperties: true })

const folderOf = (uploadId: string) => `mlflow-uploads/${uploadId}/`
const keyOf = (uploadId: string, part: number) => `${folderOf(uploadId)}${String(part).padStart(5, '0')}`

export function uploadRoutes(api: Api, { app }: ServerContext): void {
  const { blobs, platform } = app
  const unchecked = { validatorCompiler: () => () => true }

  async function remove(prefix: string, isGone: (uploadId: string) => boolean): Promise<void> {
    for await (const { key } of blobs.list(prefix)) if (isGone(key.split('/')[1]!)) await blobs.remove(key)
  }

  api.post(
    `${UPLOADS}/create/*`,
    {
      schema: {
        tags: TAGS,
        summary: 'Begin an upload in parts',
        description: 'Answers where each part is to be PUT. What is begun and not completed is forgotten after a week.',
        response: { 200: Empty },
      },
      ...unchecked,
    },
    async (request, reply) => {
      const fields = fieldsOf(request)
      pathOf(request, fields)
      const parts = fields.count('num_parts', 0)
      if (!Number.isInteger(parts) || parts < 1 || parts > MAX_PARTS)
        throw TrackingErrors.VALUE_INVALID({
          what: 'num_parts',
          problem: `must be 1 to ${MAX_PARTS}, but ${parts} arrived`,
        })
      const nowMs = platform.clock.nowMs()
      await remove('mlflow-uploads/', (id) => (idTimeMs(id) ?? 0) < nowMs - FORGOTTEN_MS)
      const uploadId = platform.ids.next()
      const { host, authorization } = request.headers
      // The client sends parts without its own headers, only with these.
      const headers = authorization === undefined ? {} : { Authorization: authorization }
      const credentials = Array.from({ length: parts }, (_, index) => ({
        url: `${request.protocol}://${host}${UPLOADS}/parts/${uploadId}/${index + 1}`,
        part_number: index + 1,
        headers,
      }))
      return sendAnswer(reply, { upload_id: uploadId, credentials })
    },
  )
  api.post(
    `${UPLOADS}/complete/*`,
    { schema: { tags: TAGS, summary: 'Make one file of the parts', response: { 200: Empty } }, ...unchecked },
    async (request, reply) => {
      const fields = fieldsOf(request)
      const path = pathOf(request, fields)
      const uploadId = uploadIdOf(fields.text('upload_id'))
      const parts = fields
        .list('parts')
        .map((part) => part.count('part_number', 0))
        .sort((a, b) => a - b)
      const there = new Set<string>()
      for await (const { key } of blobs.list(folderOf(uploadId))) there.add(key)
      if (there.size === 0) throw TrackingErrors.UPLOAD_UNKNOWN({ uploadId })
      const missing = parts.filter((part) => !there.has(keyOf(uploadId, part)))
      if (missing.length > 0 || parts.length === 0 || parts.some((part, index) => part !== index + 1))
        throw TrackingErrors.UPLOAD_INCOMPLETE({
          uploadId,
          problem:
            missing.length > 0
              ? `parts ${missing.slice(0, 20).join(', ')} have not arrived`
              : 'parts are numbered from 1',
        })
      async function* joined(): AsyncGenerator<Buffer> {
        for (const part of parts) yield* await blobs.get(keyOf(uploadId, part))
      }
      await storeArtifact(app, path, Readable.from(joined()))
      await remove(folderOf(uploadId), () => true)
      return sendAnswer(reply, {})
    },
  )
  api.post(
    `${UPLOADS}/abort/*`,
    { schema: { tags: TAGS, summary: 'Give up an upload', response: { 200: Empty } }, ...unchecked },
    async (request, reply) => {
      await remove(folderOf(uploadIdOf(fieldsOf(request).text('upload_id'))), () => true)
      return sendAnswer(reply, {})
    },
  )
}

/** With bodies as they are. */
export function uploadPartRoutes(api: Api, { app }: ServerContext): void {
  api.put(
    `${UPLOADS}/parts/:upload/:part`,
    {
      schema: {
        tags: TAGS,
        summary: 'Upload a part',
        description: 'Sending a part again replaces it.',
        params: Type.Object({ upload: Type.String(), part: Type.String() }),
        consumes: 'application/octet-stream',
        response: { 200: Empty },
      },
    },
    async (request, reply) => {
      const uploadId = uploadIdOf(request.params.upload)
      const part = Number(request.params.part)
      if (!Number.isInteger(part) || part < 1 || part > MAX_PARTS) throw TrackingErrors.UPLOAD_UNKNOWN({ uploadId })
      const body = request.body instanceof Readable ? request.body : Readable.from([])
      await app.blobs.put(keyOf(uploadId, part), body)
      reply.header('ETag', `"${part}"`)
      reply.raw.setHeader('ETag', `"${part}"`)
      return sendAnswer(reply, {})
    },
  )
}

function fieldsOf({ body }: FastifyRequest): Fields {
  return new Fields(isMembers(body) ? body : {})
}

/** The URL names the folder, and the body the file as it is called on the client's disk, from its root. */
function pathOf({ params }: FastifyRequest, fields: Fields): string {
  const folder = (params as { '*': string })['*'].replace(/\/+$/, '')
  const path = `${folder}/${fields.text('path').split(/[\\/]/).at(-1)}`
  if (folder === '' || isRegistered(path))
    throw TrackingErrors.ARTIFACT_PATH_INVALID({ path, problem: 'is no place to upload to' })
  return path
}

function uploadIdOf(text: string): string {
  if (idTimeMs(text) === undefined) throw TrackingErrors.UPLOAD_UNKNOWN({ uploadId: text.slice(0, 50) })
  return text
}
