// Registered models and versions: what is known of them, what people say about them, deletion, comparison, collection.
import Type, { type Static } from 'typebox'
import { removeModel, removeVersion, versionsInUse } from '../../app/index.js'
import {
  blobKey,
  type MetricFilter,
  RegistryErrors,
  STAGES,
  type Stage,
  type VersionQuery,
} from '../../registry/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf, callerOf } from './actor.js'
import {
  AliasChangeView,
  DiffView,
  diffView,
  GcView,
  metricsFrom,
  RegisteredModelView,
  RegisteredName,
  RegisteredVersionView,
  Said,
  Selector,
  tagsFrom,
  versionView,
} from './registry-schemas.js'
import type { Api } from './route.js'
import { mapOf, Reason, VersionNumber } from './schemas.js'

const TAGS = ['Registry'] as const
const ModelParams = Type.Object({ name: RegisteredName })
const VersionParams = Type.Object({ name: RegisteredName, version: Selector })
const Because = Type.Object({ reason: Type.Optional(Reason) }, { additionalProperties: false })
const TagChanges = Type.Optional(mapOf(Type.Union([Type.String(), Type.Null()]), 'Others stay; null removes one'))

export function registryRoutes(api: Api, { app }: ServerContext): void {
  const { registry } = app.services

  api.get(
    '/api/v1/registry/models',
    {
      schema: {
        tags: TAGS,
        summary: 'Registered models',
        response: { 200: Type.Object({ models: Type.Array(RegisteredModelView) }) },
      },
    },
    async () => ({ models: await registry.listModels() }),
  )

  api.post(
    '/api/v1/registry/models',
    {
      schema: {
        tags: TAGS,
        summary: 'Register a model without a version',
        headers: ActorHeaders,
        body: Type.Object(
          {
            name: RegisteredName,
            description: Said.description,
            owner: Said.owner,
            team: Said.team,
            tags: Said.tags,
          },
          { additionalProperties: false },
        ),
        response: { 200: RegisteredModelView },
      },
    },
    async (request) =>
      registry.createModel({ ...request.body, tags: tagsFrom(request.body.tags), by: actorOf(request) }),
  )

  api.get(
    '/api/v1/registry/models/:name',
    {
      schema: {
        tags: TAGS,
        summary: 'One registered model',
        params: ModelParams,
        response: { 200: RegisteredModelView },
      },
    },
    async ({ params }) => registry.getModel(params.name),
  )

  api.patch(
    '/api/v1/registry/models/:name',
    {
      schema: {
        tags: TAGS,
        summary: 'Say something else about a model',
        params: ModelParams,
        body: Type.Object(
          { description: Said.description, owner: Said.owner, team: Said.team, tags: TagChanges },
          { additionalProperties: false },
        ),
        response: { 200: RegisteredModelView },
      },
    },
    async ({ params, body }) =>
      registry.updateModel(params.name, { ...body, tags: tagsFrom<string | null>(body.tags) }),
  )

  api.delete(
    '/api/v1/registry/models/:name',
    {
      schema: {
        tags: TAGS,
        summary: 'Delete a model with its versions and aliases',
        description: 'Refused while anything uses one of them.',
        params: ModelParams,
        headers: ActorHeaders,
        body: Because,
        response: { 200: Type.Object({}) },
      },
    },
    async (request) => {
      await removeModel(app, request.params.name, actorOf(request), request.body.reason)
      return {}
    },
  )

  api.get(
    '/api/v1/registry/models/:name/aliases',
    {
      schema: {
        tags: TAGS,
        summary: 'What the aliases of a model named, when and why',
        params: ModelParams,
        querystring: Type.Object({ alias: Type.Optional(Type.String()) }, { additionalProperties: false }),
        response: { 200: Type.Object({ changes: Type.Array(AliasChangeView) }) },
      },
    },
    async ({ params, query }) => ({ changes: await registry.aliasHistory(params.name, query.alias) }),
  )

  api.get(
    '/api/v1/registry/models/:name/versions/:version',
    {
      schema: { tags: TAGS, summary: 'One version', params: VersionParams, response: { 200: RegisteredVersionView } },
    },
    async ({ params }) => versionView(await registry.describe(refOf(params))),
  )

  api.patch(
    '/api/v1/registry/models/:name/versions/:version',
    {
      schema: {
        tags: TAGS,
        summary: 'Say something else about a version',
        description:
          'Its files, digest, signature and lineage never change. Another stage is a decision, which takes an approver.',
        params: VersionParams,
        headers: ActorHeaders,
        body: Type.Object(
          { ...Said, tags: TagChanges, stage: Type.Optional(Type.Enum([...STAGES])) },
          { additionalProperties: false },
        ),
        response: { 200: RegisteredVersionView },
      },
    },
    async (request) => {
      const { model, version } = await registry.describe(refOf(request.params))
      const { metrics, tags, stage, ...texts } = request.body
      if (stage !== undefined) app.access.check(callerOf(request), 'approver', model)
      const updated = await registry.updateVersion(
        { model, version },
        {
          ...texts,
          ...(metrics === undefined ? {} : { metrics: metricsFrom(metrics) }),
          tags: tagsFrom<string | null>(tags),
        },
      )
      if (stage === undefined) return versionView(updated)
      return versionView(await registry.setStage({ model, version, stage: stage as Stage, by: actorOf(request) }))
    },
  )

  api.delete(
    '/api/v1/registry/models/:name/versions/:version',
    {
      schema: {
        tags: TAGS,
        summary: 'Delete a version',
        description: 'Refused while anything uses it. It can be restored until a collection removes it.',
        params: VersionParams,
        headers: ActorHeaders,
        body: Because,
        response: { 200: RegisteredVersionView },
      },
    },
    async (request) =>
      versionView(await removeVersion(app, refOf(request.params), actorOf(request), request.body.reason)),
  )

  api.post(
    '/api/v1/registry/models/:name/versions/:version/restore',
    {
      schema: {
        tags: TAGS,
        summary: 'Take the deletion of a version back',
        params: VersionParams,
        headers: ActorHeaders,
        response: { 200: RegisteredVersionView },
      },
    },
    async (request) => {
      const { model, version } = await registry.describe(refOf(request.params))
      return versionView(await registry.restore({ model, version }, actorOf(request)))
    },
  )

  api.get(
    '/api/v1/registry/models/:name/versions/:version/file',
    {
      schema: {
        tags: TAGS,
        summary: 'The bytes of one file of a version',
        params: VersionParams,
        querystring: Type.Object({ path: Type.String() }, { additionalProperties: false }),
        produces: 'application/octet-stream',
        response: { 200: Type.String() },
      },
    },
    async ({ params, query }, reply) => {
      const { model, version, files, servedFiles } = await registry.describe(refOf(params))
      const file = [...files, ...servedFiles].find(({ path }) => path === query.path)
      if (file === undefined)
        throw RegistryErrors.VERSION_NOT_FOUND({
          model,
          version,
          reason: `it has no file "${query.path.slice(0, 200)}"`,
        })
      return reply.type('application/octet-stream').send(await app.blobs.get(blobKey(file.digest)))
    },
  )

  const Search = Type.Object(
    {
      model: Type.Optional(Type.String()),
      text: Type.Optional(Type.String({ description: 'Part of the name of the model, in any case' })),
      tag: Type.Optional(Type.Array(Type.String(), { description: 'key=value; all must hold' })),
      metric: Type.Optional(Type.Array(Type.String(), { examples: ['auc>0.9'], description: 'All must hold' })),
      owner: Type.Optional(Type.String()),
      team: Type.Optional(Type.String()),
      digest: Type.Optional(Type.String({ description: 'Of the version or of one of its files' })),
      runId: Type.Optional(Type.String()),
      alias: Type.Optional(Type.String()),
      stage: Type.Optional(Type.Enum([...STAGES])),
      isServable: Type.Optional(Type.Boolean()),
      isDeleted: Type.Optional(Type.Boolean()),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
      offset: Type.Optional(Type.Integer({ minimum: 0 })),
    },
    { additionalProperties: false },
  )
  api.post(
    '/api/v1/registry/search',
    {
      config: { needs: 'viewer' },
      schema: {
        tags: TAGS,
        summary: 'Find versions, newest first',
        body: Search,
        response: { 200: Type.Object({ versions: Type.Array(RegisteredVersionView) }) },
      },
    },
    async ({ body }) => ({ versions: (await registry.search(queryOf(body))).map(versionView) }),
  )

  function queryOf({ tag, metric, stage, ...rest }: Static<typeof Search>): VersionQuery {
    return {
      ...rest,
      ...(stage === undefined ? {} : { stage: stage as Stage }),
      tags: Object.fromEntries((tag ?? []).map(tagOf)),
      metrics: (metric ?? []).map(metricFilterOf),
    }
  }

  api.get(
    '/api/v1/registry/diff',
    {
      schema: {
        tags: TAGS,
        summary: 'What differs between two versions',
        querystring: Type.Object(
          { from: Type.String({ examples: ['fraud@champion'] }), to: Type.String({ examples: ['fraud@4'] }) },
          { additionalProperties: false },
        ),
        response: { 200: DiffView },
      },
    },
    async ({ query }) => diffView(await registry.diff(query.from, query.to)),
  )

  const days = Type.Optional(Type.Number({ minimum: 0, maximum: 36_500 }))
  api.post(
    '/api/v1/registry/gc',
    {
      config: { needs: 'admin' },
      schema: {
        tags: TAGS,
        summary: 'Delete what retention does not keep, and free what nobody has any more',
        headers: ActorHeaders,
        body: Type.Object(
          {
            isDryRun: Type.Optional(Type.Boolean()),
            keepVersions: Type.Optional(VersionNumber),
            keepDays: days,
            deletedDays: days,
          },
          { additionalProperties: false },
        ),
        response: { 200: GcView },
      },
    },
    async (request) => registry.gc({ ...request.body, inUse: await versionsInUse(app), by: actorOf(request) }),
  )
}

function refOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}@${version}`
}

/** Throws REGISTRY_FIELD_INVALID. */
function tagOf(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at <= 0)
    throw RegistryErrors.FIELD_INVALID({ field: 'tag', problem: `is "${text.slice(0, 100)}" and not key=value` })
  return [text.slice(0, at), text.slice(at + 1)]
}

/** Throws REGISTRY_FIELD_INVALID. */
function metricFilterOf(text: string): MetricFilter {
  const match = /^(.*?[^\s<>=!])\s*(<=|>=|!=|<|>|=)\s*(-?[0-9.]+(?:[eE][+-]?\d+)?)$/.exec(text)
  const value = Number(match?.[3])
  if (match === null || !Number.isFinite(value))
    throw RegistryErrors.FIELD_INVALID({ field: 'metric', problem: `is "${text.slice(0, 100)}" and not like auc>0.9` })
  return { name: match[1]!, operator: match[2] as MetricFilter['operator'], value }
}
