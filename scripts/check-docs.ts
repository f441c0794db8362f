// Executes the documentation: marked samples of README.md and docs/ are run or type-checked, and the tables that come
// from the code are compared with it; `--write` makes those tables anew. Needs a finished build.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { missingLine, type Sample, samplesOf } from './docs/samples.js'
import {
  type ErrorRow,
  errorsTable,
  readSection,
  type SettingRow,
  sameTable,
  sentencesOf,
  settingsTables,
  writeSection,
} from './docs/tables.js'
import { createWorkspace, runSample, startServer } from './docs/workspace.js'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
/** The server that samples talk to where the page starts none of its own. */
const SHOP = { folder: 'examples/shop', command: 'exec headrace serve' }

/** Variables beside those of `settings()`: secrets, which are not shown, and a shorter name of one. */
const OTHERS = ['HEADRACE_KEY', 'HEADRACE_KEY_SECRET', 'HEADRACE_BLOBS']

const problems: string[] = []

/** Paths from the root: the README and every page of docs/. */
function pages(): string[] {
  const docs = existsSync(join(ROOT, 'docs'))
    ? readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'))
    : []
  return ['README.md', ...docs.map((name) => `docs/${name.replaceAll('\\', '/')}`).sort()].filter((page) =>
    existsSync(join(ROOT, page)),
  )
}

const read = (page: string): string => readFileSync(join(ROOT, page), 'utf8')

async function runPage(page: string, samples: readonly Sample[]): Promise<void> {
  const workspace = await createWorkspace()
  let server = samples.some(({ kind }) => kind === 'serve')
    ? undefined
    : await startServer(workspace, SHOP.folder, SHOP.command)
  try {
    for (const { kind, folder, text, line, output } of samples) {
      if (kind === 'serve') {
        await server?.stop()
        server = await startServer(workspace, folder, text)
        continue
      }
      const finished = await runSample(workspace, folder, text)
      const missing = finished.status === 0 ? missingLine(finished.output, output ?? []) : undefined
      if (finished.status === 0 && missing === undefined) continue
      const what = missing === undefined ? `ended with status ${finished.status}` : `did not print "${missing}"`
      problems.push(`${page}:${line} ${what}; it printed:\n${finished.output}`)
      return // What follows on the page builds on this.
    }
  } finally {
    await server?.stop()
    workspace.remove()
  }
}

/** Runs the pages that nobody has taken yet, one after the other, and says how long each took. */
async function takePages(left: { page: string; samples: readonly Sample[] }[]): Promise<void> {
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    const startedMs = performance.now()
    try {
      await runPage(next.page, next.samples)
    } catch (error) {
      problems.push(`${next.page}: ${(error as Error).message}`)
    }
    console.log(`${next.page}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
  }
}

/** Type-checks all samples at once. Each is padded so that the compiler's line is the page's. */
async function checkTypes(samples: readonly { page: string; sample: Sample }[]): Promise<void> {
  if (samples.length === 0) return
  const workspace = await createWorkspace()
  try {
    const folder = join(workspace.folder, 'docs-samples')
    mkdirSync(folder)
    const compilerOptions = { noEmit: true, noUnusedLocals: false, moduleDetection: 'force', lib: ['ES2023', 'DOM'] }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../tsconfig.base.json', compilerOptions }))
    for (const [index, { sample }] of samples.entries()) {
      writeFileSync(join(folder, `${index}.ts`), '\n'.repeat(sample.line - 1) + sample.text)
    }
    const output = await new Promise<string>((resolve) => {
      const args = ['-p', 'docs-samples', '--pretty', 'false']
      execFile(join(workspace.folder, 'node_modules/.bin/tsc'), args, { cwd: workspace.folder }, (_, text) =>
        resolve(text),
      )
    })
    for (const line of output.split('\n').filter((text) => text !== '')) {
      problems.push(
        line.replace(/^docs-samples\/(\d+)\.ts\((\d+),\d+\)/, (_, index, at) => `${samples[index]!.page}:${at}`),
      )
    }
  } finally {
    workspace.remove()
  }
}

async function readCode(): Promise<{ settings: readonly SettingRow[]; errors: readonly ErrorRow[] }> {
  const dist = new URL('../dist/', import.meta.url)
  // Error tables register when they are loaded; those of lazily loaded files would be missed.
  for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (name.endsWith('errors.js')) await import(new URL(name, dist).href)
  }
  const app = (await import(new URL('app/index.js', dist).href)) as { settings(): SettingRow[] }
  const core = (await import(new URL('core/index.js', dist).href)) as { declaredErrors(): ErrorRow[] }
  return { settings: app.settings(), errors: core.declaredErrors() }
}

function checkSection(
  page: string,
  title: string,
  name: string,
  make: (existing: string) => string,
  write: boolean,
): void {
  const markdown = existsSync(join(ROOT, page)) ? read(page) : `# ${title}\n`
  const existing = readSection(markdown, name) ?? ''
  const body = make(existing)
  if (sameTable(body, existing)) return
  if (write) {
    mkdirSync(join(ROOT, 'docs'), { recursive: true })
    writeFileSync(join(ROOT, page), writeSection(markdown, name, body))
  } else problems.push(`${page}: the table of ${name} differs from the code: run "npm run generate:docs"`)
}

const write = process.argv.includes('--write')
const { settings, errors } = await readCode()
checkSection('docs/configuration.md', 'Configuration', 'settings', () => settingsTables(settings), write)
checkSection('docs/errors.md', 'Errors', 'errors', (existing) => errorsTable(errors, existing), write)
const sentences = sentencesOf(existsSync(join(ROOT, 'docs/errors.md')) ? read('docs/errors.md') : '')
const unexplained = [...sentences].flatMap(([code, sentence]) => (sentence === '' ? [code] : []))
if (unexplained.length > 0) {
  problems.push(`docs/errors.md: say what happened and what to do for ${unexplained.join(', ')}`)
}

if (!write) {
  const variables = new Set([...settings.map(({ variable }) => variable), ...OTHERS])
  const toCheck: { page: string; sample: Sample }[] = []
  const toRun: { page: string; samples: readonly Sample[] }[] = []
  for (const page of pages()) {
    const text = read(page)
    for (const variable of new Set(text.match(/\bHEADRACE_[A-Z_]*[A-Z]\b/g))) {
      if (!variables.has(variable))
        problems.push(`${page}: ${variable} is no setting; settings() in src/app lists them`)
    }
    try {
      const samples = samplesOf(text)
      for (const sample of samples) if (sample.kind === 'check') toCheck.push({ page, sample })
      const run = samples.filter(({ kind }) => kind !== 'check')
      if (run.length > 0) toRun.push({ page, samples: run })
    } catch (error) {
      problems.push(`${page}: ${(error as Error).message}`)
    }
  }
  // Much of a page's time is waiting for its server, and pages have workspaces and ports of their own.
  await Promise.all([takePages(toRun), takePages(toRun), checkTypes(toCheck)])
}
for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 && !write ? 1 : 0
