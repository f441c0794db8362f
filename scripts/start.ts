// `npm start`: builds, serves the example shop with everything embedded, asks each endpoint a few real questions, and says
// what to try next. It builds by itself, so that npm's script is one process and gets Ctrl-C and SIGTERM.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const shop = path.join(root, 'examples/shop')

const USER = { user_id: 'shp_00001' }
const CLICK = { ...USER, page: 'product', product_id: 'prd_00007', seconds: 40, is_mobile: 0, discount_percent: 15 }

/** Streams go on where the past ends: an older one would leave a gap before them. */
const FRESH_MS = 1_800_000

const [option] = process.argv.slice(2).filter((each) => each !== '--built')
if (option !== undefined) {
  process.stderr.write(
    `npm start takes no options, and got ${option}. Settings are variables: HEADRACE_SERVER_PORT=9090 npm start\n`,
  )
  process.exit(2)
}

// Tests find everything built, and two builds at once would meet in the same files.
if (!process.argv.includes('--built')) {
  process.stdout.write('Building…\n')
  const { status } = spawnSync('npm', ['run', 'build', '--silent'], { cwd: root, stdio: 'inherit', shell: true })
  if (status !== 0) process.exit(status ?? 1)
}

writePast()

const { endOnSignal, serve } = await import('../src/cli/serve.js')
const { reportError, shortNumber } = await import('../src/cli/output.js')
const { startServer } = await import('../src/server/index.js')
const { createClient } = await import('../src/client/index.js')

const print = (text = ''): boolean => process.stdout.write(`${text}\n`)
const failed = (error: unknown): number => reportError(error, {})

try {
  process.chdir(root)
  const quiet = process.env['HEADRACE_SERVER_LOG_LEVEL'] === undefined ? { logLevel: 'warn' } : {}
  const starting = serve({ startServer }, shop, quiet)
  endOnSignal(starting, failed)
  const running = await starting
  print('Loading models…')
  if (await running.load()) {
    print('Filling features…')
    await featuresFilled(running.url)
    print(await whatToTry(running.url, await predictions(running.url)))
  }
} catch (error) {
  const status = failed(error)
  if ((error as { code?: unknown }).code === 'HTTP_PORT_IN_USE')
    process.stderr.write('Here that is: HEADRACE_SERVER_PORT=9090 npm start\n')
  // What was opened is let go by the end of the process.
  process.exit(status)
}

/** The shop's past up to now, which its features look back on. */
function writePast(): void {
  const data = path.join(shop, 'data')
  const mark = path.join(data, 'until.txt')
  if (existsSync(mark) && Date.now() - Number(readFileSync(mark, 'utf8')) < FRESH_MS) return
  process.stdout.write('Making the shop’s orders, payments and clicks of the last three months…\n')
  const generate = path.join(shop, 'world/generate.ts')
  const now = Date.now()
  const until = new Date(now).toISOString()
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', generate, '--out', data, '--until', until], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) process.exit(status ?? 1)
  writeFileSync(mark, String(now))
}

/** Resolves when every view can be read, or after half a minute: they are then filled while the server answers with defaults. */
async function featuresFilled(url: string): Promise<void> {
  const until = Date.now() + 30_000
  while (Date.now() < until) {
    const { views } = (await (await fetch(`${url}/api/v1/features/status`)).json()) as {
      views: { live: string | null }[]
    }
    if (views.every(({ live }) => live !== null)) return
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

interface Sample {
  readonly rows: readonly Readonly<Record<string, string | number>>[]
  /** What each row really was, in words. */
  readonly labels: readonly string[]
}

async function sampleOf(endpoint: string): Promise<Sample> {
  return JSON.parse(await readFile(path.join(shop, 'samples', `${endpoint}.json`), 'utf8')) as Sample
}

/** Asks each endpoint about the rows of its sample; gives the id of the last payment's prediction. */
async function predictions(url: string): Promise<string> {
  const client = createClient({ baseUrl: url })
  let last = ''
  for (const endpoint of ['purchase-intent', 'breast-cancer', 'fraud']) {
    const { rows, labels } = await sampleOf(endpoint)
    const answers = await client.predict(endpoint, rows)
    const [first] = answers
    print(`\n${endpoint}, answered by version ${first?.error === undefined ? first?.version : '?'}`)
    for (const [row, answer] of answers.entries()) {
      if (answer.error !== undefined) throw new Error(`${endpoint}: ${answer.error.message}`)
      const { label, probabilities } = answer.outputs as { label: string; probabilities: Record<string, number> }
      const share = shortNumber(probabilities[label] ?? 0)
      print(`  ${describe(rows[row]!).padEnd(62)} → ${label.padEnd(11)} ${share.padEnd(7)} (was ${labels[row]})`)
      last = answer.id
    }
  }
  return last
}

/** Its first features, as many as fit. */
function describe(row: Sample['rows'][number]): string {
  let text = ''
  for (const [name, value] of Object.entries(row)) {
    const next = `${text === '' ? '' : `${text}, `}${name} ${value}`
    if (next.length > 60) break
    text = next
  }
  return text
}

/** curl lines that work as they are, in any folder: no body holds a single quote. */
async function whatToTry(url: string, id: string): Promise<string> {
  const payment = (await sampleOf('fraud')).rows[0]!
  const session = Object.values((await sampleOf('purchase-intent')).rows[0]!)
  const post = (target: string, body: object): string =>
    `curl -s ${url}${target} -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`
  const sql =
    'SELECT endpoint, version, count(*) AS predictions, avg(latency_ms) AS ms FROM predictions GROUP BY ALL ORDER BY ALL'
  const tensor = { name: 'features', datatype: 'FP32', shape: [1, session.length], data: session }
  return `
Serving at ${url}. Try, in another terminal:

  # the native call: named features in, label and probabilities out
  ${post('/api/v1/predict/fraud', { inputs: payment, unit: 'shopper-1' })}

  # by user alone: what the user does, has in the cart and spends is looked up
  ${post('/api/v1/predict/purchase-intent', { entities: USER })}

  # a click of that user, which the next answer knows of
  ${post('/api/v1/features/push', { source: 'clicks', events: [CLICK] })}

  # the Open Inference Protocol, as clients of KServe and Triton speak it
  ${post('/v2/models/purchase-intent/infer', { inputs: [tensor] })}

  # KServe version 1
  ${post('/v1/models/purchase-intent:predict', { instances: [session] })}

  # what happened to the last prediction above
  curl -s ${url}/api/v1/predictions/${id}

  # SQL over the log of predictions
  ${post('/api/v1/log/query', { sql })}

  # metrics, as Prometheus reads them
  curl -s ${url}/metrics

  # the same and more from the command line, in this folder
  node bin/headrace.js explain ${id} --project examples/shop

The console: ${url}/console/
API documentation, with a form for every call: ${url}/api/docs
Ctrl-C answers what is in flight and ends.`
}
