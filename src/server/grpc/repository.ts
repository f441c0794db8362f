// Models as Triton's tools ask for them: configuration, statistics, and what the repository holds, loads and unloads.
import { modelConfig, modelStatistics, repositoryIndex, repositoryLoad, repositoryUnload } from '../../app/index.js'
import type { Actor } from '../../decisions/index.js'
import { inferenceService, type ModelRepositoryParameter } from '../../oip/index.js'
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

export function repositoryMethods(context: ServerContext): GrpcMethod[] {
  const { app } = context
  return [
    unary(inferenceService.ModelConfig, async ({ name, version }) => {
      await awake(context, targetOf(name, version))
      return { config: configMessage(modelConfig(app, name, versionNumber(version))) }
    }),
    unary(inferenceService.ModelStatistics, async ({ name, version }) => {
      const statistics = await modelStatistics(app, name === '' ? undefined : name, versionNumber(version))
      return { modelStats: statistics.map(statisticsMessage) }
    }),
    unary(inferenceService.RepositoryIndex, async ({ ready }) => {
      const entries = await repositoryIndex(app, { readyOnly: ready })
      return {
        models: entries.map(({ name, version = '', state, reason = '' }) => ({ name, version, state, reason })),
      }
    }),
    unary(
      { ...inferenceService.RepositoryModelLoad, requestDeserialize: decodeLoadRequest },
      async ({ repositoryName, modelName, parameters }, call) => {
        const model = nameOf(repositoryName, modelName)
        await repositoryLoad(app, { model, ...loadOf(parameters) }, actorOf(call))
        return { modelName: model, isLoaded: true }
      },
      context.bodyLimitBytes,
    ),
    unary(inferenceService.RepositoryModelUnload, async ({ repositoryName, modelName }, call) => {
      const model = nameOf(repositoryName, modelName)
      await repositoryUnload(app, { model }, actorOf(call))
      return { modelName: model, isUnloaded: true }
    }),
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

/** As over HTTP: a name that proves nothing. */
function actorOf(call: Call): Actor {
  const name = call.header('headrace-actor')?.slice(0, 128)
  return { kind: 'person', name: name?.replace(/^person:/, '') || 'anonymous' }
}
