// Experiments, runs and logged models in the shapes of MLflow's messages.
import type { Dataset, DatasetInput, Experiment, LoggedModel, Metric, Run, RunInfo } from '../../tracking/index.js'
import { listed, numberValue } from './answer.js'
import { type Fields, isMembers } from './fields.js'

export function experimentShape(experiment: Experiment): object {
  return {
    experiment_id: experiment.id,
    name: experiment.name,
    artifact_location: experiment.artifactLocation,
    lifecycle_stage: experiment.lifecycle,
    last_update_time: experiment.updatedMs,
    creation_time: experiment.createdMs,
    tags: listed(experiment.tags),
  }
}

export function runInfoShape(info: RunInfo): object {
  return {
    run_id: info.runId,
    run_uuid: info.runId,
    run_name: info.name,
    experiment_id: info.experimentId,
    user_id: info.userId,
    status: info.status,
    start_time: info.startMs,
    end_time: info.endMs ?? undefined,
    artifact_uri: info.artifactUri,
    lifecycle_stage: info.lifecycle,
  }
}

export function runShape(run: Run): object {
  const { metrics, params, tags, datasets, modelInputs, modelOutputs } = run
  return {
    info: runInfoShape(run.info),
    data: { metrics: listed(metrics.map(metricShape)), params: listed(params), tags: listed(tags) },
    inputs: {
      dataset_inputs: listed(datasets.map(datasetInputShape)),
      model_inputs: listed(modelInputs.map((model_id) => ({ model_id }))),
    },
    outputs: { model_outputs: listed(modelOutputs.map(({ modelId, step }) => ({ model_id: modelId, step }))) },
  }
}

export function metricShape(metric: Metric): object {
  return {
    key: metric.key,
    value: numberValue(metric.value),
    timestamp: metric.timestampMs,
    step: metric.step,
    model_id: metric.modelId,
    dataset_name: metric.datasetName,
    dataset_digest: metric.datasetDigest,
    run_id: metric.runId,
  }
}

export function metricOf(fields: Fields): Metric {
  return {
    key: fields.text('key'),
    value: fields.number('value'),
    timestampMs: fields.int64('timestamp') ?? 0,
    step: fields.int64('step') ?? 0,
    modelId: fields.optional('model_id'),
    datasetName: fields.optional('dataset_name'),
    datasetDigest: fields.optional('dataset_digest'),
  }
}

export function datasetInputOf(fields: Fields): DatasetInput {
  const dataset = fields.object('dataset')
  return {
    dataset: {
      name: dataset.text('name'),
      digest: dataset.text('digest'),
      sourceType: dataset.text('source_type'),
      source: dataset.text('source'),
      schema: dataset.optional('schema') ?? null,
      profile: dataset.optional('profile') ?? null,
    },
    tags: fields.pairs('tags'),
  }
}

function datasetInputShape({ dataset, tags }: DatasetInput): object {
  return { tags: listed(tags), dataset: datasetShape(dataset) }
}

function datasetShape({ name, digest, sourceType, source, schema, profile }: Dataset): object {
  return { name, digest, source_type: sourceType, source, schema: schema ?? undefined, profile: profile ?? undefined }
}

/** With the registrations that its tag tells of, as clients write it. */
export function loggedModelShape(model: LoggedModel): object {
  return {
    info: {
      model_id: model.modelId,
      experiment_id: model.experimentId,
      name: model.name,
      creation_timestamp_ms: model.createdMs,
      last_updated_timestamp_ms: model.updatedMs,
      artifact_uri: model.artifactUri,
      status: model.status,
      model_type: model.modelType || undefined,
      source_run_id: model.sourceRunId || undefined,
      tags: listed(model.tags),
      registrations: registrationsOf(model),
    },
    data: { params: listed(model.params), metrics: listed(model.metrics.map(metricShape)) },
  }
}

const VERSIONS_TAG = 'mlflow.modelVersions'

function registrationsOf({ tags }: LoggedModel): readonly object[] | undefined {
  const text = tags.find(({ key }) => key === VERSIONS_TAG)?.value
  if (text === undefined) return undefined
  try {
    const versions: unknown = JSON.parse(text)
    return Array.isArray(versions) ? listed(versions.flatMap(registrationOf)) : undefined
  } catch {
    // A caller may have set the tag to anything.
    return undefined
  }
}

function registrationOf(entry: unknown): object[] {
  if (!isMembers(entry)) return []
  const { name, version } = entry as { name?: unknown; version?: unknown }
  const number = Number(version)
  return typeof name === 'string' && Number.isSafeInteger(number) && number > 0
    ? [{ name, version: String(number) }]
    : []
}
