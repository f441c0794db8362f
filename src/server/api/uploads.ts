// Pushes a version over HTTP. A model may be gigabytes, so the body goes to disk as it arrives and never into memory.
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import Type from 'typebox'
import { pushRegistered, uploadsFolder } from '../../app/index.js'
import { HeadraceError } from '../../core/index.js'
import { RegistryErrors } from '../../registry/index.js'
import { ConvertErrors } from '../../serving/index.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { ActorHeaders, actorOf } from './actor.js'
import type { Api } from './route.js'
import { NameParam, VersionNumber } from './schemas.js'

const MAX_MANIFEST_BYTES = 1024 * 1024
const UPLOAD_TYPE = 'application/octet-stream'

export function uploadRoutes(api: Api, { app }: ServerContext): void {
  const folder = uploadsFolder(app.project)

  // The body as it is, for the handler to read; its size is bounded by the disk alone.
  api.removeAllContentTypeParsers()
  api.addContentTypeParser(UPLOAD_TYPE, (_request, payload, done) => done(null, payload))
  api.addContentTypeParser('*', ({ headers }, _payload, done) => done(wrongType(headers['content-type'])))

  api.post(
    '/api/v1/models/:name/versions',
    {
      schema: {
        tags: ['Models'],
        summary: 'Push a version in one piece',
        description:
          'The body is model.json, as many bytes as Headrace-Manifest-Length says, and then the ONNX file, or a file of XGBoost (JSON, UBJ) or LightGBM (text), which is converted to ONNX and compared with it. The version is loaded by itself soon after.',
        params: Type.Object({ name: NameParam('Model') }),
        headers: Type.Object({
          ...ActorHeaders.properties,
          'headrace-manifest-length': Type.Optional(
            Type.String({
              pattern: '^\\d{1,9}$',
              description: 'Bytes of model.json at the start of the body; default 0',
            }),
          ),
        }),
        querystring: Type.Object(
          {
            version: Type.Optional(VersionNumber),
            allowSame: Type.Optional(
              Type.Boolean({
                description:
                  'Makes a version even when there is one of the same content, which otherwise is returned; default false',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        consumes: UPLOAD_TYPE,
        response: {
          200: Type.Object({
            model: Type.String(),
            version: VersionNumber,
            digest: Type.String(),
            isNew: Type.Boolean({ description: 'False when a version of the same content was there' }),
            notices: Type.Array(Type.String(), { description: 'What to know about the conversion, if there was one' }),
          }),
        },
      },
    },
    async (request) => {
      const { body } = request
      if (!(body instanceof Readable)) throw wrongType(request.headers['content-type'])
      await mkdir(folder, { recursive: true })
      const upload = await mkdtemp(join(folder, 'push-'))
      try {
        const manifestBytes = Number(request.headers['headrace-manifest-length'] ?? 0)
        const files = await receive(body, upload, manifestBytes)
        const {
          version: registered,
          isNew,
          notices,
        } = await pushRegistered(app, {
          model: request.params.name,
          scratch: upload,
          ...files,
          ...request.query,
          by: actorOf(request),
        })
        const { model, version, digest } = registered
        return { model, version, digest, isNew, notices: [...notices] }
      } catch (error) {
        throw aboutUpload(error, upload)
      } finally {
        await rm(upload, { recursive: true, force: true })
      }
    },
  )
}

function wrongType(contentType = ''): HeadraceError {
  return HttpErrors.UPLOAD_TYPE({ contentType: contentType.slice(0, 100) })
}

/** Writes the two parts of the body into `folder`. */
async function receive(
  body: Readable,
  folder: string,
  manifestBytes: number,
): Promise<{ file: string; manifest?: string }> {
  if (manifestBytes > MAX_MANIFEST_BYTES)
    throw HttpErrors.UPLOAD_INVALID({
      problem: `model.json may be ${MAX_MANIFEST_BYTES} bytes long, not ${manifestBytes}`,
    })
  const manifest = Buffer.alloc(manifestBytes)
  let taken = 0
  let modelBytes = 0
  const file = join(folder, 'model.onnx')

  async function* withoutManifest(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      const head = chunk.subarray(0, manifestBytes - taken)
      taken += head.copy(manifest, taken)
      const rest = chunk.subarray(head.length)
      modelBytes += rest.length
      if (rest.length > 0) yield rest
    }
  }

  try {
    await pipeline(body, withoutManifest, createWriteStream(file))
  } catch (error) {
    const isIncomplete = (error as NodeJS.ErrnoException).code === 'ECONNRESET' || body.errored !== null
    throw isIncomplete ? HttpErrors.MALFORMED({ reason: 'the connection ended before the body did' }, error) : error
  }
  if (taken < manifestBytes)
    throw HttpErrors.UPLOAD_INVALID({
      problem: `model.json should be ${manifestBytes} bytes long, but ${taken} arrived`,
    })
  if (modelBytes === 0) throw HttpErrors.UPLOAD_INVALID({ problem: 'no ONNX file arrived' })
  if (manifestBytes === 0) return { file }
  const manifestFile = join(folder, 'model.json')
  await writeFile(manifestFile, manifest)
  return { file, manifest: manifestFile }
}

/** The caller knows nothing of our temporary files: errors speak of what was sent. */
export function aboutUpload(error: unknown, folder: string): unknown {
  if (!(error instanceof HeadraceError)) return error
  const { code, params } = error
  if (code === 'REGISTRY_NOT_ONNX')
    return RegistryErrors.NOT_ONNX({
      file: 'the upload',
      found: String(params['found']),
      remedy: String(params['remedy']),
    })
  if (code.startsWith('CONVERT_')) {
    const make = ConvertErrors[code.slice('CONVERT_'.length) as keyof typeof ConvertErrors] as (
      params: object,
    ) => HeadraceError
    return make({ ...params, file: 'the upload' })
  }
  if (code === 'REGISTRY_MANIFEST_INVALID')
    return RegistryErrors.MANIFEST_INVALID({ source: 'model.json', problems: params['problems'] as readonly string[] })
  if (code === 'REGISTRY_FILE_NOT_FOUND')
    return HttpErrors.UPLOAD_EXTERNAL_DATA({ file: String(params['file']).slice(folder.length + 1) })
  return error
}
