// What a model version is registered from: a logged model, the artifacts of a run, a place of the proxy, another version. The files are
// taken over by their digests, and what is known of the run comes along.
import type { Digest } from '../../core/index.js'
import type { Lineage, Metrics, RegistryService, Tags, VersionFile } from '../../registry/index.js'
import type { Artifact, LoggedModel, Run, TrackingService } from '../../tracking/index.js'
import { pathOfUri } from './artifact-places.js'
import { MlflowErrors } from './errors.js'

export interface Found {
  readonly files: readonly VersionFile[]
  readonly lineage: Lineage
  readonly metrics: Metrics
  readonly params: Tags
}

interface Asked {
  readonly source: string
  readonly runId: string | undefined
  readonly modelId: string | undefined
}

export function sourceFinder(tracking: TrackingService, registry: RegistryService) {
  async function loggedModel(modelId: string, source: string): Promise<Found> {
    const model = await tracking.getModel(modelId)
    const run = model.sourceRunId === '' ? undefined : await tracking.getRun(model.sourceRunId)
    return found(await below(pathOfUri(model.artifactUri), source), run, model)
  }

  async function below(path: string | undefined, source: string): Promise<VersionFile[]> {
    if (path === undefined || path === '')
      throw MlflowErrors.SOURCE_INVALID({ source, problem: 'its artifacts are not kept by this server' })
    const artifacts = await tracking.artifactsUnder(path)
    if (artifacts.length === 0) throw MlflowErrors.SOURCE_INVALID({ source, problem: 'there is no artifact under it' })
    return artifacts.map((artifact) => ({
      path: inner(artifact, path),
      digest: artifact.digest as Digest,
      sizeBytes: artifact.sizeBytes,
    }))
  }

  return async function find({ source, runId, modelId }: Asked): Promise<Found> {
    const [, logged] = /^models:\/(m-[0-9a-f]{32})$/.exec(source) ?? []
    if (logged !== undefined) return loggedModel(logged, source)
    const [, model, version] = /^models:\/(.+)\/(\d{1,15})$/s.exec(source) ?? []
    if (model !== undefined) {
      const { files, lineage, metrics, params } = await registry.describe({ model, version: Number(version) })
      return { files, lineage: { ...lineage, parents: [`${model}/${version}`] }, metrics, params }
    }
    const [, fromRun, path] = /^runs:\/([^/]+)\/(.+)$/s.exec(source) ?? []
    if (fromRun !== undefined) {
      const run = await tracking.getRun(fromRun)
      const root = pathOfUri(run.info.artifactUri)
      return found(await below(root && `${root}/${path}`, source), run, undefined)
    }
    const files = await below(pathOfUri(source), source)
    const run = runId ? await tracking.getRun(runId) : undefined
    return found(files, run, modelId ? await tracking.getModel(modelId) : undefined)
  }
}

function inner({ path }: Artifact, root: string): string {
  return path === root ? path.slice(path.lastIndexOf('/') + 1) : path.slice(root.length + 1)
}

function found(files: readonly VersionFile[], run: Run | undefined, model: LoggedModel | undefined): Found {
  const commit = run?.tags.find(({ key }) => key === 'mlflow.source.git.commit')?.value
  const datasets = run?.datasets.map(({ dataset, tags }) => {
    const role = tags.find(({ key }) => key === 'mlflow.data.context')?.value
    return { name: dataset.name, digest: dataset.digest, ...(role === undefined ? {} : { role }) }
  })
  // A logged model has metrics and params of its own; a run's are of everything that it did.
  const metrics = model !== undefined && model.metrics.length > 0 ? model.metrics : (run?.metrics ?? [])
  const params = model !== undefined && model.params.length > 0 ? model.params : (run?.params ?? [])
  return {
    files,
    lineage: {
      ...(run === undefined ? {} : { runId: run.info.runId, experimentId: run.info.experimentId }),
      ...(model === undefined ? {} : { modelId: model.modelId, experimentId: model.experimentId }),
      ...(commit === undefined ? {} : { codeVersion: commit }),
      ...(datasets === undefined || datasets.length === 0 ? {} : { datasets }),
    },
    metrics: Object.fromEntries(metrics.map(({ key, value }) => [key, value])),
    params: Object.fromEntries(params.map(({ key, value }) => [key, value])),
  }
}
