// One call of each of MLflow's routes, in an order in which all of them succeed.

interface Reply {
  // biome-ignore lint/suspicious/noExplicitAny: as many shapes as routes
  readonly json: any
}

type Ask = (method: string, path: string, template: string, body?: unknown) => Promise<Reply>

export async function callMlflow(url: string, ask: Ask, asked: Set<string>): Promise<void> {
  const base = '/mlflow/api/2.0/mlflow'
  const get = (path: string, query: string) => ask('GET', `${base}/${path}?${query}`, `${base}/${path}`)
  const post = (path: string, body: unknown) => ask('POST', `${base}/${path}`, `${base}/${path}`, body)
  const change = (method: 'PATCH' | 'DELETE', path: string, body: unknown) =>
    ask(method, `${base}/${path}`, `${base}/${path}`, body)
  /** Bytes, which the common call does not send. */
  const put = async (path: string, template: string) => {
    const reply = await fetch(url + path, { method: 'PUT', body: 'bytes' })
    if (reply.status !== 200) throw new Error(`PUT ${path} answered ${reply.status}: ${await reply.text()}`)
    asked.add(`PUT ${template}`)
  }

  await ask('GET', '/mlflow/health', '/mlflow/health')
  await ask('GET', '/mlflow/version', '/mlflow/version')

  const { json: made } = await post('experiments/create', { name: 'called' })
  const experiment_id: string = made.experiment_id
  await get('experiments/get', `experiment_id=${experiment_id}`)
  await get('experiments/get-by-name', 'experiment_name=called')
  await post('experiments/search', {})
  await get('experiments/search', 'max_results=10')
  await post('experiments/update', { experiment_id, new_name: 'renamed' })
  await post('experiments/set-experiment-tag', { experiment_id, key: 'a', value: 'b' })
  await post('experiments/delete-experiment-tag', { experiment_id, key: 'a' })
  await post('experiments/delete', { experiment_id })
  await post('experiments/restore', { experiment_id })
  await post('experiments/search-datasets', { experiment_ids: [experiment_id] })

  const run_id: string = (await post('runs/create', { experiment_id })).json.run.info.run_id
  await get('runs/get', `run_id=${run_id}`)
  await post('runs/log-parameter', { run_id, key: 'p', value: '1' })
  await post('runs/log-metric', { run_id, key: 'm', value: 'NaN', timestamp: 1, step: 0 })
  await post('runs/log-batch', { run_id, metrics: [{ key: 'm', value: 1, timestamp: 2, step: 1 }] })
  await post('runs/set-tag', { run_id, key: 't', value: '1' })
  await post('runs/delete-tag', { run_id, key: 't' })
  await post('runs/log-inputs', {
    run_id,
    datasets: [{ dataset: { name: 'd', digest: '1', source_type: 'local', source: '{}' } }],
  })
  await post('runs/log-model', { run_id, model_json: '{}' })
  await get('metrics/get-history', `run_id=${run_id}&metric_key=m`)
  await post('runs/search', { experiment_ids: [experiment_id] })
  await post('runs/update', { run_id, status: 'FINISHED' })
  await post('runs/delete', { run_id })
  await post('runs/restore', { run_id })

  const models = `${base}/logged-models`
  const { json: begun } = await post('logged-models', { experiment_id, name: 'm', source_run_id: run_id })
  const modelId: string = begun.model.info.model_id
  await post('runs/outputs', { run_id, models: [{ model_id: modelId, step: 0 }] })
  await ask('GET', `${models}/${modelId}`, `${models}/{id}`)
  await ask('POST', `${models}/${modelId}/params`, `${models}/{id}/params`, { params: [{ key: 'a', value: '1' }] })
  await ask('PATCH', `${models}/${modelId}/tags`, `${models}/{id}/tags`, { tags: [{ key: 'a', value: '1' }] })
  await ask('DELETE', `${models}/${modelId}/tags/a`, `${models}/{id}/tags/{key}`, {})
  await post('logged-models/search', { experiment_ids: [experiment_id] })

  const files = '/mlflow/api/2.0/mlflow-artifacts'
  const root = `${experiment_id}/models/${modelId}/artifacts`
  await put(`${files}/artifacts/${root}/a.bin`, `${files}/artifacts/*`)
  await ask('GET', `${files}/artifacts/${root}/a.bin`, `${files}/artifacts/*`)
  await ask('GET', `${files}/artifacts?path=${root}`, `${files}/artifacts`)
  const directories = 'artifacts/directories'
  await ask('GET', `${models}/${modelId}/${directories}`, `${models}/{id}/${directories}`)
  await get('artifacts/list', `run_id=${run_id}`)
  const upload = async () => {
    const body = { path: 'b.bin', num_parts: 1 }
    const { json } = await ask('POST', `${files}/mpu/create/${root}`, `${files}/mpu/create/*`, body)
    return json.upload_id as string
  }
  const whole = await upload()
  await put(`${files}/mpu/parts/${whole}/1`, `${files}/mpu/parts/{upload}/{part}`)
  await ask('POST', `${files}/mpu/complete/${root}`, `${files}/mpu/complete/*`, {
    ...{ path: 'b.bin', upload_id: whole, parts: [{ part_number: 1 }] },
  })
  await ask('POST', `${files}/mpu/abort/${root}`, `${files}/mpu/abort/*`, { path: 'b.bin', upload_id: await upload() })
  await ask('PATCH', `${models}/${modelId}`, `${models}/{id}`, { status: 'LOGGED_MODEL_READY' })

  const name = 'registered by mlflow'
  const query = `name=${encodeURIComponent(name)}`
  const version = '1'
  await post('registered-models/create', { name })
  await get('registered-models/get', query)
  await get('registered-models/search', 'max_results=10')
  await change('PATCH', 'registered-models/update', { name, description: 'd' })
  await post('registered-models/set-tag', { name, key: 'a', value: 'b' })
  await change('DELETE', 'registered-models/delete-tag', { name, key: 'a' })
  await post('model-versions/create', { name, source: `models:/${modelId}` })
  await get('model-versions/get', `${query}&version=1`)
  await get('model-versions/search', 'max_results=10')
  await get('model-versions/get-download-uri', `${query}&version=1`)
  await change('PATCH', 'model-versions/update', { name, version, description: 'd' })
  await post('model-versions/set-tag', { name, version, key: 'a', value: 'b' })
  await change('DELETE', 'model-versions/delete-tag', { name, version, key: 'a' })
  await post('model-versions/transition-stage', { name, version, stage: 'Staging' })
  await post('registered-models/get-latest-versions', { name })
  await get('registered-models/get-latest-versions', query)
  await post('registered-models/alias', { name, alias: 'tried', version })
  await get('registered-models/alias', `${query}&alias=tried`)
  await change('DELETE', 'registered-models/alias', { name, alias: 'tried' })
  await change('DELETE', 'model-versions/delete', { name, version })
  await post('registered-models/rename', { name, new_name: 'renamed by mlflow' })
  await change('DELETE', 'registered-models/delete', { name: 'renamed by mlflow' })
  await ask('DELETE', `${files}/artifacts/${root}/a.bin`, `${files}/artifacts/*`)
  await ask('DELETE', `${models}/${modelId}`, `${models}/{id}`, {})
}
