// `headrace models`: what is there, pushing a version, moving aliases.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { AppErrors, type MemoryView, type ModelView } from '../app/index.js'
import { HeadraceError } from '../core/index.js'
import type { Decision } from '../decisions/index.js'
import {
  describedKind,
  foreignFormat,
  isScript,
  pushVersion,
  type RegisteredVersion,
  RegistryErrors,
} from '../registry/index.js'
import { type Faces, type GlobalOptions, projectOf, withApi } from './context.js'
import { decisionLine } from './decision-line.js'
import { CliErrors } from './errors.js'
import { addRegistered, collect, describeVersion, isRef } from './models-registry.js'
import { pushFile, type SaidOptions } from './models-upload.js'
import { globalOptions, wholeNumber } from './options.js'
import { print, printJson, shortText, table } from './output.js'

export function addModels(program: Command, faces: Faces): void {
  const models = program.command('models').description('list, push, name, load and unload model versions')

  models
    .command('list')
    .description('every model with its versions and aliases')
    .addHelpText('after', '\nExample:\n  headrace models list --json\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const answer = await withApi(faces, options, { loads: true }, async (api) => ({
        ...(await api.json<{ models: ModelView[] }>('GET', '/api/v1/models')),
        notServable: (
          await api.json<{ versions: RegisteredVersion[] }>('POST', '/api/v1/registry/search', {
            isServable: false,
            limit: 1000,
          })
        ).versions,
      }))
      if (options.json) return printJson(answer)
      if (answer.models.length === 0 && answer.notServable.length === 0)
        return print('No models. Push one with "headrace models push <name> <file.onnx>".')
      const rows = answer.models.flatMap((model) =>
        model.versions.map(({ version, state, isolation, memory, digest, reason, convertedFrom }) => [
          model.name,
          version,
          Object.entries(model.aliases)
            .filter(([, number]) => number === version)
            .map(([alias]) => alias)
            .join(', '),
          state,
          isolation ?? '',
          memory === null ? '' : memoryText(memory),
          digest?.slice(0, 19) ?? '',
          convertedFrom?.format ?? '',
          shortText(reason ?? '', 100),
        ]),
      )
      for (const { model, version, aliases, digest, reason } of answer.notServable)
        rows.push([
          model,
          version,
          aliases.join(', '),
          'not servable',
          '',
          '',
          digest.slice(0, 19),
          '',
          shortText(reason ?? '', 100),
        ])
      print(table(['model', 'version', 'aliases', 'state', 'runs', 'memory', 'digest', 'made from', ''], rows))
    })

  models
    .command('show')
    .argument('<model>', 'a model, or one version: fraud@4, fraud@champion')
    .description('one model: signatures, labels, training facts; or all that is registered of one version')
    .addHelpText('after', '\nExamples:\n  headrace models show fraud\n  headrace models show fraud@champion\n')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      if (isRef(name))
        return describeVersion(faces, name, options).catch((error: unknown) =>
          describeUnregistered(faces, name, options, error),
        )
      const model = await withApi(faces, options, { loads: true }, (api) =>
        api.json<ModelView>('GET', `/api/v1/models/${encodeURIComponent(name)}`),
      )
      if (options.json) printJson(model)
      else print(describeModel(model))
    })

  models
    .command('push')
    .argument('<model>')
    .argument(
      '[file]',
      'the .onnx file, a model of XGBoost (.json, .ubj) or LightGBM (.txt), a script (.ts, .mjs, .js), remote.json or pipeline.json',
    )
    .option('--manifest <file>', 'its model.json')
    .option('--allow-same', 'make a version even when there is one of the same content')
    .option('--description <text>', 'shown to people')
    .option('--card <file>', 'model card, Markdown')
    .option('--owner <name>', 'who answers for it')
    .option('--team <name>', 'whose it is')
    .option('--tag <key=value>', 'a tag; again for more', collect, [])
    .option('--metric <name=value>', 'a metric; again for more', collect, [])
    .option('--run <id>', 'the run that made it')
    .option('--code <commit>', 'the code that made it')
    .option('--dataset <name=digest>', 'data it was trained on; again for more', collect, [])
    .option('--parent <model@version>', 'a version it was made from; again for more', collect, [])
    .option('--remote <url>', 'in place of a file: the server that runs the model (http, https, grpc or grpcs)')
    .option('--remote-model <name>', 'its name there; default the same name')
    .option('--remote-version <version>', 'its version there; default whichever that server takes')
    .description(
      'add a version to the registry; it is served once it is warm. Begun and cut off, the same push goes on',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  headrace models push fraud ./model.onnx --manifest ./model.json --metric auc=0.93 --owner ada\n  headrace models push resnet --remote grpc://triton:8001 --remote-model resnet50\n',
    )
    .action(async (name: string, given: string | undefined, own: PushOptions, command: Command) => {
      const options = globalOptions(command)
      const { manifest } = own
      if (own.remote !== undefined) {
        if (given !== undefined) usage('A version is a file or --remote, not both.')
        report(await pushRemote(name, own, options), options)
        return
      }
      const file = given ?? usage('A file is needed, or --remote with the address of a server.')
      if (own.remoteModel !== undefined || own.remoteVersion !== undefined)
        usage('--remote-model and --remote-version are for --remote.')
      if (isScript(file) || describedKind(file) !== undefined) {
        report(await pushHere(name, file, own, options), options)
        return
      }
      await refuseForeign(file)
      const { version, isNew } = await withApi(faces, options, { loads: false }, (api) =>
        pushFile(api, name, file, manifest, own),
      )
      const answer = {
        model: version.model,
        version: version.version,
        digest: version.digest,
        isNew,
        notices: version.notices,
      }
      report(answer, options)
    })

  models
    .command('alias')
    .argument('<model>')
    .argument('<alias>', 'champion, challenger, …')
    .argument('<version>', 'version number', wholeNumber)
    .option('--reason <text>', 'kept with the decision')
    .option('--force', 'pass by the gates of endpoints that follow the alias; needs --reason')
    .description('point an alias at a version')
    .addHelpText('after', '\nExample:\n  headrace models alias fraud champion 2 --reason "better held-out AUC"\n')
    .action(
      async (
        model: string,
        alias: string,
        version: number,
        { reason, force }: { reason?: string; force?: true },
        command: Command,
      ) => {
        const options = globalOptions(command)
        const decision = await withApi(faces, options, { loads: true }, (api) =>
          api.json<Decision>('PUT', aliasPath(model, alias), {
            version,
            ...(reason === undefined ? {} : { reason }),
            ...(force && { force }),
          }),
        )
        if (options.json) printJson(decision)
        else print(decisionLine(decision))
      },
    )

  models
    .command('unalias')
    .argument('<model>')
    .argument('<alias>')
    .option('--reason <text>', 'kept with the decision')
    .description('remove an alias')
    .addHelpText('after', '\nExample:\n  headrace models unalias fraud challenger\n')
    .action(async (model: string, alias: string, { reason }: { reason?: string }, command: Command) => {
      const options = globalOptions(command)
      const decision = await withApi(faces, options, { loads: false }, (api) =>
        api.json<Decision>('DELETE', aliasPath(model, alias), reason === undefined ? {} : { reason }),
      )
      if (options.json) printJson(decision)
      else print(decisionLine(decision))
    })

  addRepository(models, faces)
  addRegistered(models, faces)
}

/** Here the name says more than the bytes that a server is sent, and a folder cannot be sent: a TensorFlow SavedModel is one. */
async function refuseForeign(file: string): Promise<void> {
  const format = await foreignFormat(file).catch(() => undefined)
  if (format !== undefined && format.native === undefined)
    throw RegistryErrors.NOT_ONNX({ file, found: format.found, remedy: format.remedy })
}

function addRepository(models: Command, faces: Faces): void {
  models
    .command('load')
    .argument('<model>')
    .option('--config <json>', "Triton's ModelConfig as JSON: what is in it counts in place of model.json")
    .description('load a model now, with another config if wanted; what is served goes on until it is there')
    .addHelpText('after', `\nExample:\n  headrace models load fraud --config '{"max_batch_size": 16}'\n`)
    .action(async (model: string, { config }: { config?: string }, command: Command) => {
      const options = globalOptions(command)
      const body = config === undefined ? {} : { parameters: { config } }
      const answer = await withApi(faces, options, { loads: true }, (api) =>
        api.json('POST', repositoryPath(model, 'load'), body),
      )
      if (options.json) printJson(answer)
      else
        print(`Loaded ${model}. Undo it with "headrace decisions undo", see it with "headrace models show ${model}".`)
    })

  models
    .command('unload')
    .argument('<model>')
    .description('take a model out of service until it is loaded again, also over restarts')
    .addHelpText('after', '\nExample:\n  headrace models unload fraud\n')
    .action(async (model: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const answer = await withApi(faces, options, { loads: true }, (api) =>
        api.json('POST', repositoryPath(model, 'unload'), {}),
      )
      if (options.json) printJson(answer)
      else print(`Unloaded ${model}. Load it again with "headrace models load ${model}".`)
    })
}

function repositoryPath(model: string, act: 'load' | 'unload'): string {
  return `/v2/repository/models/${encodeURIComponent(model)}/${act}`
}

interface Pushed {
  readonly model: string
  readonly version: number
  readonly digest: string
  readonly notices?: readonly string[]
  /** False: it was there. */
  readonly isNew?: boolean
}

function report(pushed: Pushed, { json }: GlobalOptions): void {
  const { model, version, digest } = pushed
  if (json) printJson(pushed)
  else {
    if (pushed.isNew === false)
      print(`${model}/${version} is that already (${digest}). Make another one of it with --allow-same.`)
    else print(`Pushed ${model}/${version} (${digest}). See it with "headrace models show ${model}".`)
    for (const notice of pushed.notices ?? []) print(notice)
  }
}

interface PushOptions extends SaidOptions {
  readonly manifest?: string
  readonly remote?: string
  readonly remoteModel?: string
  readonly remoteVersion?: string
}

/**
 * A script is code that the server runs, and a description says where it sends what it is given: both are put where only who may write
 * the models folder can, never sent over HTTP.
 */
async function pushHere(
  model: string,
  file: string,
  { manifest, allowSame }: PushOptions,
  options: GlobalOptions,
): Promise<Pushed> {
  if (options.server !== undefined)
    throw isScript(file) ? CliErrors.SCRIPT_NOT_SENT({ file }) : CliErrors.DESCRIPTION_NOT_SENT({ file })
  const { models } = await projectOf(options)
  if (models.kind === 'file') throw AppErrors.NO_MODELS_FOLDER()
  const { ref, digest } = await pushVersion({
    folder: models.folder,
    model,
    file,
    ...(manifest === undefined ? {} : { manifest }),
    ...(allowSame === undefined ? {} : { allowSame }),
  })
  return { ...ref, digest }
}

/** Writes the remote.json that the options say, and pushes it. */
async function pushRemote(model: string, own: PushOptions, options: GlobalOptions): Promise<Pushed> {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-push-'))
  const file = join(folder, 'remote.json')
  const { remote: url, remoteModel = model, remoteVersion: version } = own
  try {
    await writeFile(file, `${JSON.stringify({ url, model: remoteModel, version }, null, 2)}\n`)
    return await pushHere(model, file, own, options)
  } catch (error) {
    throw error instanceof HeadraceError && error.code === 'REGISTRY_MANIFEST_INVALID'
      ? RegistryErrors.MANIFEST_INVALID({ source: '--remote', problems: error.params['problems'] as readonly string[] })
      : error
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function usage(problem: string): never {
  throw CliErrors.USAGE({ problem, help: 'headrace models push --help' })
}

function aliasPath(model: string, alias: string): string {
  return `/api/v1/models/${encodeURIComponent(model)}/aliases/${encodeURIComponent(alias)}`
}

/** `1.9 MB`, with `~` when it is an estimate and in brackets when it is not used now. */
function memoryText({ usedBytes, sizeBytes, isMeasured }: MemoryView): string {
  const mb = sizeBytes / 2 ** 20
  const text = `${isMeasured ? '' : '~'}${mb < 10 ? mb.toFixed(1) : Math.round(mb)} MB`
  return usedBytes > 0 ? text : `(${text})`
}

/** What the model shows of a version that is in the models folder alone. */
async function describeUnregistered(faces: Faces, ref: string, options: GlobalOptions, error: unknown): Promise<void> {
  const [, name, number] = /^(.+)[@/](\d+)$/.exec(ref) ?? []
  if (name === undefined || !(error instanceof HeadraceError) || error.status !== 404) throw error
  const model = await withApi(faces, options, { loads: true }, (api) =>
    api.json<ModelView>('GET', `/api/v1/models/${encodeURIComponent(name)}`),
  ).catch(() => {
    throw error
  })
  const found = model.versions.find(({ version }) => version === Number(number))
  if (found === undefined) {
    const reason = `it has ${model.versions.map(({ version }) => version).join(', ')}`
    throw RegistryErrors.VERSION_NOT_FOUND({ model: name, version: Number(number), reason })
  }
  if (options.json) return printJson(found)
  const aliases = Object.entries(model.aliases).filter(([, version]) => version === found.version)
  print(describeModel({ ...model, aliases: Object.fromEntries(aliases), versions: [found] }))
  print('\nIt is in the models folder and not registered, so nothing else is known of it.')
}

function describeModel({ name, aliases, versions }: ModelView): string {
  const lines = [name]
  for (const [alias, version] of Object.entries(aliases)) lines.push(`  ${alias} → version ${version}`)
  for (const { version, state, reason, digest, description, signature, labels, trained, convertedFrom } of versions) {
    lines.push('', `version ${version}: ${state}${reason === null ? '' : `, ${reason}`}`)
    if (description !== null) lines.push(`  ${description}`)
    if (digest !== null) lines.push(`  ${digest}`)
    for (const [title, specs] of [
      ['inputs', signature?.inputs],
      ['outputs', signature?.outputs],
    ] as const) {
      for (const { name: tensor, datatype, shape } of specs ?? [])
        lines.push(`  ${title.padEnd(8)} ${tensor}  ${datatype} [${shape.join(', ')}]`)
    }
    if (labels !== null) lines.push(`  labels   ${labels.join(', ')}`)
    if (convertedFrom !== null)
      lines.push(
        `  made from ${convertedFrom.format} (${convertedFrom.libraryVersion}), ${convertedFrom.objective}, ${convertedFrom.digest}`,
      )
    if (trained !== null) lines.push(`  trained  ${JSON.stringify(trained)}`)
  }
  return lines.join('\n')
}
