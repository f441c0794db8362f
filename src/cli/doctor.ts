// `headrace doctor`: is this machine and this project fit to serve? Each finding says what to do about it.
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { availableParallelism, totalmem } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import type { Command } from 'commander'
import { grpcPortOf, type LoadedProject, type ModelView } from '../app/index.js'
import { createPlatform, toHeadraceError, versionKey } from '../core/index.js'
import { createFolderSource } from '../registry/index.js'
import { missingLibraries } from '../serving/index.js'
import { type Faces, type GlobalOptions, projectOf, withApi } from './context.js'
import { globalOptions } from './options.js'
import { EXIT, print, printJson, table } from './output.js'
import { findServer, type ServerFile } from './server-file.js'

interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warn' | 'fail'
  readonly found: string
  /** What to do, when it is not ok. */
  readonly remedy?: string
}

const MIN_FREE_BYTES = 1024 ** 3
const MIN_MEMORY_BYTES = 2 * 1024 ** 3

export function addDoctor(program: Command, faces: Faces): void {
  program
    .command('doctor')
    .description('check the machine, versions, ports, folders and every model')
    .addHelpText('after', '\nExample:\n  headrace doctor --json\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const findings = await examine(faces, options)
      if (options.json) printJson({ findings })
      else {
        print(
          table(
            ['', 'check', 'found'],
            findings.map(({ state, check, found }) => [state, check, found]),
          ),
        )
        for (const { check, remedy } of findings) if (remedy !== undefined) print(`\n${check}: ${remedy}`)
      }
      if (findings.some(({ state }) => state === 'fail')) process.exitCode = EXIT.failed
    })
}

async function examine(faces: Faces, options: GlobalOptions): Promise<Finding[]> {
  const findings: Finding[] = [node(), machine(), await onnxRuntime()]
  let project: LoadedProject
  try {
    project = await projectOf(options)
    findings.push({ check: 'configuration', state: 'ok', found: project.file ?? 'defaults, no configuration file' })
  } catch (error) {
    const { message } = toHeadraceError(error)
    return [
      ...findings,
      { check: 'configuration', state: 'fail', found: message, remedy: 'Correct it, or give --project.' },
    ]
  }
  const running = await findServer(project.dataDir)
  const { host, port, processes } = project.config.server
  const grpcPort = grpcPortOf(project.config.server)
  findings.push(processesFit(running?.processes ?? processes))
  findings.push(await dataFolder(project.dataDir), await diskSpace(project.dataDir))
  if (running) findings.push({ check: 'server', state: 'ok', found: serverFound(running) })
  else {
    findings.push(await portFree('port', host, port))
    if (grpcPort !== undefined) findings.push(await portFree('gRPC port', host, grpcPort))
  }
  return [...findings, ...(await models(faces, options)), ...(await refusedFiles(project))]
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const fits = major > 20 || (major === 20 && minor >= 19)
  const found = `${process.version} on ${process.platform} ${process.arch}`
  return {
    check: 'Node.js',
    state: fits ? 'ok' : 'fail',
    found,
    ...(fits ? {} : { remedy: 'Install Node.js 20.19 or newer.' }),
  }
}

function serverFound({ url, pid, processes }: ServerFile): string {
  return `runs at ${url}, process ${pid}${processes > 1 ? ` with ${processes} workers` : ''}`
}

function processesFit(processes: number): Finding {
  const cores = availableParallelism()
  const found = `${processes} for ${cores} cores`
  if (processes <= cores) return { check: 'processes', state: 'ok', found }
  const remedy = 'More processes than cores take memory and give nothing back: lower server.processes.'
  return { check: 'processes', state: 'warn', found, remedy }
}

function machine(): Finding {
  const gib = totalmem() / 1024 ** 3
  const found = `${availableParallelism()} cores, ${gib.toFixed(1)} GiB of memory`
  if (totalmem() >= MIN_MEMORY_BYTES) return { check: 'machine', state: 'ok', found }
  return { check: 'machine', state: 'warn', found, remedy: 'Serve small models only, or give it 2 GiB or more.' }
}

async function onnxRuntime(): Promise<Finding> {
  try {
    const { default: ort } = await import('onnxruntime-node')
    return { check: 'ONNX Runtime', state: 'ok', found: `${ort.env.versions.node ?? 'loaded'}; ${providersFound()}` }
  } catch (error) {
    const remedy = `Its native library does not load here. Reinstall with "npm ci"; on Alpine use a glibc image.`
    return { check: 'ONNX Runtime', state: 'fail', found: (error as Error).message, remedy }
  }
}

function runsFound({ isolation, providers }: ModelView['versions'][number]): string {
  return `answers; runs ${isolation}${providers === null ? '' : ` on ${providers.join(', ')}`}`
}

function providersFound(): string {
  const gpus = (['cuda', 'tensorrt'] as const).map((name) => {
    const [first, ...more] = missingLibraries(name).map((clause) => clause.split(' ')[0])
    return first === undefined
      ? name
      : `no ${name} (lacks ${first}${more.length > 0 ? ` and ${more.length} more` : ''})`
  })
  return ['cpu', ...gpus].join(', ')
}

async function dataFolder(folder: string): Promise<Finding> {
  const probe = path.join(folder, `.doctor-${process.pid}`)
  try {
    await mkdir(folder, { recursive: true })
    await writeFile(probe, '')
    await rm(probe)
    return { check: 'data folder', state: 'ok', found: `${folder} can be written` }
  } catch (error) {
    const remedy = 'Give the user who runs Headrace write access, or choose another with --data-dir.'
    return { check: 'data folder', state: 'fail', found: (error as Error).message, remedy }
  }
}

async function diskSpace(folder: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(folder)
  const found = `${((bavail * bsize) / 1024 ** 3).toFixed(1)} GiB free`
  if (bavail * bsize >= MIN_FREE_BYTES) return { check: 'disk', state: 'ok', found }
  return {
    check: 'disk',
    state: 'warn',
    found,
    remedy: 'Free space or shorten log.retentionDays: a full disk drops log records.',
  }
}

function portFree(check: string, host: string, port: number): Promise<Finding> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', ({ code, message }: NodeJS.ErrnoException) =>
      resolve({
        check,
        state: 'fail',
        found: code === 'EADDRINUSE' ? `${port} on ${host} is in use` : message,
        remedy: `Stop what listens there, or choose another with --${check === 'port' ? '' : 'grpc-'}port.`,
      }),
    )
    server.listen(port, host, () =>
      server.close(() => resolve({ check, state: 'ok', found: `${port} on ${host} is free` })),
    )
  })
}

/** Loads every version that the server would load at its start: digest, graph, session and test prediction. */
async function models(faces: Faces, options: GlobalOptions): Promise<Finding[]> {
  try {
    const answer = await withApi(faces, options, { loads: true }, (api) =>
      api.json<{ models: ModelView[] }>('GET', '/api/v1/models'),
    )
    if (answer.models.length === 0) {
      const remedy = 'Push one with "headrace models push <name> <file.onnx>".'
      return [{ check: 'models', state: 'warn', found: 'none', remedy }]
    }
    const findings: Finding[] = []
    let resting = 0
    for (const { name, versions } of answer.models)
      for (const version of versions) {
        const check = `model ${name}/${version.version}`
        if (version.state === 'ready') findings.push({ check, state: 'ok', found: runsFound(version) })
        else if (version.state === 'resting') resting++
        else if (version.state === 'unloaded') {
          const remedy = `Load it with "headrace models load ${name}".`
          findings.push({ check, state: 'warn', found: 'unloaded by hand', remedy })
        } else {
          const remedy = 'Export the model again, or remove this version; older ones keep serving.'
          findings.push({ check, state: 'fail', found: version.reason ?? version.state, remedy })
        }
      }
    if (resting > 0)
      findings.push({ check: 'models at rest', state: 'ok', found: `${resting}, loaded when they are asked for` })
    return findings
  } catch (error) {
    const { code, message } = toHeadraceError(error)
    return [{ check: 'models', state: 'fail', found: code, remedy: message }]
  }
}

/** What is in the models folder and no version: half copied, or of another format. */
async function refusedFiles({ config, models: from }: LoadedProject): Promise<Finding[]> {
  if (from.kind === 'file') return []
  const source = createFolderSource({ ...config.models, folder: from.folder, platform: createPlatform() })
  await source.refresh()
  const remedy = 'Copy or export the version again, or remove its folder.'
  return source
    .pending()
    .map(({ ref, reason }) => ({ check: `model ${versionKey(ref)}`, state: 'fail', found: reason, remedy }))
}
