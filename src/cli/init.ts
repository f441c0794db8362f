// `headrace init`: a new project that is ready to serve. Nothing is ever overwritten.
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { CliErrors } from './errors.js'
import { globalOptions } from './options.js'
import { print, printJson } from './output.js'

const shop = fileURLToPath(new URL('../../examples/shop/', import.meta.url))

export function addInit(program: Command): void {
  program
    .command('init')
    .argument('[folder]', 'where; made if it is not there', '.')
    .option('--example', 'with the example shop’s fraud model, so that it serves at once')
    .description('make a new project')
    .addHelpText('after', '\nExamples:\n  headrace init my-models\n  headrace init my-models --example\n')
    .action(async (folder: string, { example = false }: { example?: boolean }, command: Command) => {
      const { json } = globalOptions(command)
      const files = await createProject(folder, example)
      if (json) return printJson({ folder: path.resolve(folder), files })
      print(files.map((file) => `made ${path.join(folder, file)}`).join('\n'))
      const enter = folder === '.' ? '' : `cd ${folder} && `
      print(`\nNext: ${enter}headrace serve`)
      if (example) print(`Then: ${enter}headrace predict fraud --file samples/fraud.json`)
      else print('Put a model at models/<name>/1/model.onnx, or push one: headrace models push <name> <file.onnx>')
    })
}

async function createProject(folder: string, example: boolean): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  const taken = (await readdir(folder)).find((name) => name.startsWith('headrace.config.') || name === 'models')
  if (taken !== undefined) throw CliErrors.NOT_EMPTY({ folder: path.resolve(folder), found: taken })
  const files: Record<string, string> = { 'headrace.config.ts': config(example), 'models/README.md': MODELS_README }
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
    await writeFile(path.join(folder, name), text, { flag: 'wx' })
  }
  const ignored = await addIgnored(path.join(folder, '.gitignore'))
  if (!example) return [...Object.keys(files), ...ignored]
  // The versions that callers give everything: version 3 needs the shop's features.
  for (const version of ['1', '2']) {
    const model = path.join('models/fraud', version)
    await cp(path.join(shop, model), path.join(folder, model), { recursive: true })
  }
  await cp(path.join(shop, 'samples/fraud.json'), path.join(folder, 'samples/fraud.json'))
  return [...Object.keys(files), ...ignored, 'models/fraud', 'samples/fraud.json']
}

/** Keeps the data folder out of version control, beside what a .gitignore already says. */
async function addIgnored(file: string): Promise<string[]> {
  const present = await readFile(file, 'utf8').catch(() => '')
  if (present.split('\n').includes('.headrace/')) return []
  await writeFile(file, `${present}${present === '' || present.endsWith('\n') ? '' : '\n'}.headrace/\n`)
  return ['.gitignore']
}

function config(example: boolean): string {
  const endpoint = example
    ? `    // Callers say "fraud"; which version answers is decided here, and by releases later.
    fraud: { route: version('fraud', 'latest'), deadlineMs: 1000 },`
    : `    // Every model has an endpoint of its own name without being listed. Declare one to give it a deadline,
    // a log policy, or another version than the latest:
    // fraud: { route: version('fraud', 1), deadlineMs: 1000 },`
  return `import { defineProject${example ? ', version' : ''} } from 'headrace'

export default defineProject({
  models: { folder: './models' },
  endpoints: {
${endpoint}
  },
})
`
}

const MODELS_README = `# Models

One folder per model, one per version inside it, numbered 1, 2, …:

    <name>/<version>/model.onnx    or model.ts: rules as a script
    <name>/<version>/model.json    optional: feature names, labels, batching, warm-up rows

A version is served once its files are complete and it has answered a test prediction. Versions never change: publish
new content under a new number.
`
