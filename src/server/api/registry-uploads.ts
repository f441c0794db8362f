// Bytes of registered versions: uploads in pieces that go on after a cut or a restart, and packages in and out.
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import Type from 'typebox'
import { exportRegistered, importRegistered, openUploads, signerOf, uploadsFolder } from '../../app/index.js'
import type { Digest } from '../../core/index.js'
import type { Announced } from '../../registry/index.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { ActorHeaders, actorOf } from './actor.js'
import {
  metricsFrom,
  RegisteredName,
  RegisteredView,
  SaidAtPush,
  Selector,
  UploadView,
  VersionFile,
  versionView,
} from './registry-schemas.js'
import type { Api } from './route.js'
import { VersionNumber } from './schemas.js'
import { aboutUpload } from './uploads.js'

const TAGS = ['Registry'] as const
const UPLOAD_TYPE = 'application/octet-stream'
const PACKAGE_TYPE = 'application/x-tar'
const UploadParams = Type.Object({ upload: Type.String() })

export function registryUploadRoutes(api: Api, { app }: ServerContext): void {
  const uploads = openUploads(app)

  api.post(
    '/api/v1/registry/uploads',
    {
      schema: {
        tags: TAGS,
        summary: 'Announce the files of a version',
        description:
          'Answers which bytes are missing: send those, then finish. The same announcement finds its upload again for a day, also after a restart.',
        body: Type.Object(
          {
            model: RegisteredName,
            files: Type.Array(VersionFile, { minItems: 1 }),
            version: Type.Optional(VersionNumber),
            allowSame: Type.Optional(Type.Boolean()),
            mustServe: Type.Optional(Type.Boolean({ description: 'Refuses what cannot be served; default false' })),
            ...SaidAtPush,
          },
          { additionalProperties: false },
        ),
        response: { 200: UploadView },
      },
    },
    async ({ body }) => {
      const { metrics, files, ...rest } = body
      const announced = {
        ...rest,
        metrics: metricsFrom(metrics),
        files: files.map((file) => ({ ...file, digest: file.digest as Digest })),
      }
      return uploads.begin(announced as Announced)
    },
  )

  api.get(
    '/api/v1/registry/uploads/:upload',
    { schema: { tags: TAGS, summary: 'How far an upload is', params: UploadParams, response: { 200: UploadView } } },
    async ({ params }) => uploads.get(params.upload),
  )

  api.post(
    '/api/v1/registry/uploads/:upload/finish',
    {
      schema: {
        tags: TAGS,
        summary: 'Register what was uploaded',
        params: UploadParams,
        headers: ActorHeaders,
        response: { 200: RegisteredView },
      },
    },
    async (request) => {
      const { version, isNew } = await uploads
        .finish(request.params.upload, actorOf(request))
        .catch((error: unknown) => Promise.reject(aboutUpload(error, '')))
      return { version: versionView(version), isNew }
    },
  )

  api.delete(
    '/api/v1/registry/uploads/:upload',
    { schema: { tags: TAGS, summary: 'Give an upload up', params: UploadParams, response: { 200: Type.Object({}) } } },
    async ({ params }) => {
      await uploads.abandon(params.upload)
      return {}
    },
  )

  api.get(
    '/api/v1/registry/key',
    {
      schema: {
        tags: TAGS,
        summary: 'The public key that packages of this server are signed with',
        response: { 200: Type.Object({ signer: Type.String({ examples: ['ed25519:…'] }) }) },
      },
    },
    async () => ({ signer: await signerOf(app) }),
  )

  api.get(
    '/api/v1/registry/models/:name/versions/:version/package',
    {
      schema: {
        tags: TAGS,
        summary: 'A version as one signed file',
        params: Type.Object({ name: RegisteredName, version: Selector }),
        produces: PACKAGE_TYPE,
        response: { 200: Type.String() },
      },
    },
    async ({ params }, reply) => {
      const { content } = await exportRegistered(app, `${params.name}@${params.version}`)
      return reply.type(PACKAGE_TYPE).send(content)
    },
  )
}

/** Where bodies are bytes. */
export function registryByteRoutes(api: Api, { app }: ServerContext): void {
  const uploads = openUploads(app)
  const folder = uploadsFolder(app.project)

  api.removeAllContentTypeParsers()
  api.addContentTypeParser([UPLOAD_TYPE, PACKAGE_TYPE], (_request, payload, done) => done(null, payload))
  api.addContentTypeParser('*', ({ headers }, _payload, done) =>
    done(HttpErrors.UPLOAD_TYPE({ contentType: (headers['content-type'] ?? '').slice(0, 100) })),
  )

  api.put(
    '/api/v1/registry/uploads/:upload/file',
    {
      schema: {
        tags: TAGS,
        summary: 'Send bytes of a file',
        description: 'What arrives before a connection breaks is kept: ask how far it is and go on there.',
        params: UploadParams,
        querystring: Type.Object(
          { path: Type.String(), offset: Type.Integer({ minimum: 0, description: 'Where in the file they belong' }) },
          { additionalProperties: false },
        ),
        consumes: UPLOAD_TYPE,
        response: { 200: UploadView },
      },
    },
    async ({ params, query, body }) => uploads.write(params.upload, query.path, query.offset, streamOf(body)),
  )

  api.post(
    '/api/v1/registry/packages',
    {
      schema: {
        tags: TAGS,
        summary: 'Import a version from a package',
        description: 'Refused when a byte of it was changed, and when nobody here trusts who signed it.',
        headers: ActorHeaders,
        querystring: Type.Object(
          {
            trust: Type.Optional(Type.String({ description: 'Public keys of signers, with commas between them' })),
            as: Type.Optional(RegisteredName),
            insecureUnsigned: Type.Optional(Type.Boolean({ description: 'Takes a package without a signature' })),
          },
          { additionalProperties: false },
        ),
        consumes: PACKAGE_TYPE,
        response: { 200: RegisteredView },
      },
    },
    async (request) => {
      const { trust, as, insecureUnsigned = false } = request.query
      await mkdir(folder, { recursive: true })
      const scratch = await mkdtemp(join(folder, 'import-'))
      try {
        const file = join(scratch, 'package')
        await pipeline(streamOf(request.body), createWriteStream(file))
        const { version, isNew } = await importRegistered(app, {
          file,
          trust: trust?.split(',') ?? [],
          insecureUnsigned,
          ...(as === undefined ? {} : { as }),
          by: actorOf(request),
        })
        return { version: versionView(version), isNew }
      } finally {
        await rm(scratch, { recursive: true, force: true })
      }
    },
  )
}

function streamOf(body: unknown): Readable {
  if (body instanceof Readable) return body
  throw HttpErrors.UPLOAD_TYPE({ contentType: '' })
}
