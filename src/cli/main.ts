// The command line. Each command parses, makes one call to the HTTP API, and prints; `--json` prints the API's own answer.
import process from 'node:process'
import { Command, CommanderError } from 'commander'
import { addAudit } from './audit.js'
import { addChaos } from './chaos.js'
import { addConsole } from './console.js'
import { type Faces, packageVersion } from './context.js'
import { addDecisions } from './decisions.js'
import { addDeploy } from './deploy.js'
import { addDoctor } from './doctor.js'
import { addEndpoints } from './endpoints.js'
import { CliErrors } from './errors.js'
import { addExplain } from './explain.js'
import { addFeatures } from './features.js'
import { addInit } from './init.js'
import { addKeys } from './keys.js'
import { addLog } from './log.js'
import { addModels } from './models.js'
import { addModelsGates } from './models-gates.js'
import { addNodes } from './nodes.js'
import { addOutcomes } from './outcomes.js'
import { reportError } from './output.js'
import { addPredict } from './predict.js'
import { addProfile } from './profile.js'
import { addRelease } from './release.js'
import { addServe } from './serve.js'
import { addTypes } from './types.js'
import { addWorker } from './worker.js'

/** Builds every command; the documentation is checked against it. */
export function createProgram(faces: Faces): Command {
  const program = new Command('headrace')
    .description('Serve, release, watch and improve machine-learning models in production.')
    .version(packageVersion)
    .option(
      '--server <url>',
      'server to talk to (default: the one that has the project open, else one opened for the command)',
    )
    .option('--key <key>', 'key to call the server with (default: HEADRACE_KEY)')
    .option('--project <path>', 'project folder, models folder or .onnx file', '.')
    .option('--data-dir <folder>', 'data folder (default: .headrace in the project)')
    .option('--json', 'print JSON for programs')
    .option('--verbose', 'print causes and stack traces of errors')
    .addHelpText('after', AFTER_HELP)
  addServe(program, faces)
  addWorker(program, faces)
  addInit(program)
  addPredict(program, faces)
  addModels(program, faces)
  addModelsGates(program, faces)
  addProfile(program, faces)
  addDeploy(program, faces)
  addRelease(program, faces)
  addEndpoints(program, faces)
  addLog(program, faces)
  addFeatures(program, faces)
  addExplain(program, faces)
  addOutcomes(program, faces)
  addDecisions(program, faces)
  addNodes(program, faces)
  addKeys(program, faces)
  addAudit(program, faces)
  addConsole(program)
  addChaos(program, faces)
  addTypes(program, faces)
  addDoctor(program, faces)
  prepare(program)
  return program
}

const AFTER_HELP = `
Start with:
  headrace init shop --example && cd shop && headrace serve

Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found, 4 server not reachable or overloaded.
`

/** Errors are thrown and not printed, so that they have one shape; help shows the options that every command takes. */
function prepare(command: Command): void {
  command
    .exitOverride()
    .configureOutput({ outputError: () => undefined, writeErr: () => undefined })
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false)
  for (const sub of command.commands) prepare(sub)
}

export async function runCommand(argv: readonly string[], faces: Faces): Promise<void> {
  // The reader of a pipe may stop early ("| head"); that is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
  })
  const program = createProgram(faces)
  const words = argv.slice(2)
  try {
    await program.parseAsync(withHelp(words), { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return // It printed help or the version.
    const failure = error instanceof CommanderError ? usageError(error, program, words) : error
    process.exitCode = reportError(failure, {
      json: words.includes('--json'),
      verbose: words.includes('--verbose'),
    })
  }
}

/** `headrace` alone and `headrace help models push` are asked for help the way that every command is. */
function withHelp(words: readonly string[]): string[] {
  if (words.length === 0) return ['--help']
  return words[0] === 'help' ? [...words.slice(1), '--help'] : [...words]
}

function usageError({ code, message }: CommanderError, program: Command, words: readonly string[]): Error {
  const command = commandOf(program, words)
  const help = [...pathOf(command), '--help'].join(' ')
  // A command that only groups others was called alone.
  if (code === 'commander.help') {
    const choices = command.commands.map((sub) => sub.name()).join(' | ')
    return CliErrors.USAGE({ problem: `Say what to do: ${pathOf(command).join(' ')} ${choices}.`, help })
  }
  const text = message.replace(/^error: /, '').replace(/\s+/g, ' ')
  const problem = text.charAt(0).toUpperCase() + text.slice(1)
  return CliErrors.USAGE({ problem: /[.)]$/.test(problem) ? problem : `${problem}.`, help })
}

/** The innermost command that the words name. */
function commandOf(program: Command, words: readonly string[]): Command {
  let command = program
  for (const word of words) command = command.commands.find((sub) => sub.name() === word) ?? command
  return command
}

function pathOf(command: Command): string[] {
  return command.parent === null ? [command.name()] : [...pathOf(command.parent), command.name()]
}
