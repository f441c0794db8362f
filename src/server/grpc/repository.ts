// Models as Triton's tools ask for them: configuration, statistics, and what the repository holds, loads and unloads.
import { expectNoTenant, isAllowed } from '../../access/index.js'
import { modelConfig, modelStatistics, repositoryIndex, repositoryLoad, repositoryUnload } from '../../app/index.js'
import type { Actor } from '../../decisions/index.js'
import { inferenceService, type ModelRepositoryParameter } from '../../oip/index.js'
import { actorFor } from '../api/actor.js'
import { STATISTICS } from '../api/needs.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { awake } from '../predict/request.js'
import type { Call, GrpcMethod } from './call.js'
import { configMessage } from './config-message.js'
import { targetOf } from './describe.js'
import { decodeLoadRequest } from './load-request.js'
import { statisticsMessage } from './statistics-message.js'
import { unary } from './unary.js'
import { versionNumber } from './version.js'

const SEE_MODEL = {
  needs: 'see',
  on: ({ name }: { readonly name: string }) => (name === '' ? undefined : name),
} as const
const APPROVE_MODEL = {
  needs: 'approver',
  on: (request: { readonly repositoryName: string; readonly modelName: string }) =>
    nameOf(request.repositoryName, request.modelName),
} as const

export function repositoryMethods(context: ServerContext): GrpcMethod[] {
  const { app } = context
  return [
    unary(context, inferenceService.ModelConfig, SEE_MODEL, async ({ name, version }) => {
      await awake(context, targetOf(name, version))
      return { config: configMessage(modelConfig(app, name, versionNumber(version))) }
    }),
    unary(context, inferenceService.ModelStatistics, SEE_MODEL, async ({ name, version }, { caller }) => {
      expectNoTenant(caller, STATISTICS)
      const statistics = await modelStatistics(app, name === '' ? undefined : name, versionNumber(version))
      return { modelStats: statistics.filter((one) => isAllowed(caller, 'see', one.name)).map(statisticsMessage) }
    }),
    unary(context, inferenceService.RepositoryIndex, { needs: 'see' }, async ({ ready }, { caller }) => {
      const entries = await repositoryIndex(app, { readyOnly: ready })
      return {
        models: entries
          .filter(({ name }) => isAllowed(caller, 'see', name))
          .map(({ name, version = '', state, reason = '' }) => ({ name, version, state, reason })),
      }
    }),
    unary(
      context,
      { ...inferenceService.RepositoryModelLoad, requestDeserialize: decodeLoadRequest },
      APPROVE_MODEL,
      async ({ repositoryName, modelName, parameters }, call) => {
        const model = nameOf(repositoryName, modelName)
        await repositoryLoad(app, { model, ...loadOf(parameters) }, actorOf(call))
        return { modelName: model, isLoaded: true }
      },
      context.bodyLimitBytes,
    ),
    unary(
      context,
      inferenceService.RepositoryModelUnload,
      APPROVE_MODEL,
      async ({ repositoryName, modelName }, call) => {
        const model = nameOf(repositoryName, modelName)
        await repositoryUnload(app, { model }, actorOf(call))
        return { modelName: model, isUnloaded: true }
      },
    ),
  ]
}

/** Triton's request has the repository in field 1 and the model in field 2; KServe's has the model in field 1 and no other. */
function nameOf(first: string, second: string): string {
  return second === '' ? first : second
}

/** Throws HTTP_PARAMETER_INVALID. */
function loadOf(parameters: ReadonlyMap<string, ModelRepositoryParameter>): {
  config: string | undefined
  files: ReadonlyMap<string, Uint8Array>
} {
  let config: string | undefined
  const files = new Map<string, Uint8Array>()
  for (const [key, { parameterChoice: choice }] of parameters) {
    if (key === 'config') {
      if (choice?.$case !== 'stringParam')
        throw invalid(key, 'a string_param with a ModelConfig as JSON', choice?.$case)
      config = choice.value
    } else if (key.startsWith('file:')) {
      if (choice?.$case !== 'bytesParam')
        throw invalid(key, 'a bytes_param with the content of the file', choice?.$case)
      files.set(key.slice('file:'.length), choice.value)
    }
  }
  return { config, files }
}

function invalid(parameter: string, expected: string, arrived: string | undefined): Error {
  return HttpErrors.PARAMETER_INVALID({
    in: 'parameter',
    where: `"${parameter.slice(0, 100)}"`,
    expected,
    arrived: arrived ?? 'nothing',
  })
}

/** As over HTTP. */
function actorOf(call: Call): Actor {
  return actorFor(call.caller, call.header('headrace-actor'))
}
