// The command line. Each command parses, makes one call to the HTTP API, and prints; `--json` prints the API's own answer.
import process from 'node:process'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { type Faces, packageVersion } from './context.js'
import { addDecisions } from './decisions.js'
import { addDoctor } from './doctor.js'
import { addEndpoints } from './endpoints.js'
import { addExplain } from './explain.js'
import { addInit } from './init.js'
import { addLog } from './log.js'
import { addModels } from './models.js'
import { EXIT, reportError } from './output.js'
import { addPredict } from './predict.js'
import { addServe } from './serve.js'
import { addTypes } from './types.js'

/** Builds every command; the documentation is checked against it. */
export function createProgram(faces: Faces): Command {
  const program = new Command('headrace')
    .description('Serve, release, watch and improve machine-learning models in production.')
    .version(packageVersion)
    .option(
      '--server <url>',
      'server to talk to (default: the one that has the project open, else one opened for the command)',
    )
    .option('--project <path>', 'project folder, models folder or .onnx file', '.')
    .option('--data-dir <folder>', 'data folder (default .headrace in the project)')
    .option('--json', 'print JSON for programs', false)
    .option('--verbose', 'print causes and stack traces of errors', false)
    .exitOverride()
    .showHelpAfterError('(run with --help for usage)')
    .addHelpText(
      'after',
      '\nExit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found, 4 server not reachable or overloaded.\n',
    )
  addServe(program, faces, positiveInteger)
  addInit(program)
  addPredict(program, faces)
  addModels(program, faces, positiveInteger)
  addEndpoints(program, faces)
  addLog(program, faces, positiveInteger)
  addExplain(program, faces)
  addDecisions(program, faces, positiveInteger)
  addTypes(program, faces)
  addDoctor(program, faces)
  shareGlobalOptions(program)
  return program
}

/** `headrace models list --json` and `headrace --json models list` mean the same. */
function shareGlobalOptions(program: Command): void {
  const visit = (command: Command) => {
    for (const sub of command.commands) {
      sub.exitOverride()
      if (sub.commands.length === 0 && !sub.options.some(({ long }) => long === '--json'))
        sub.option('--json', 'print JSON for programs')
      visit(sub)
    }
  }
  visit(program)
}

export async function runCommand(argv: readonly string[], faces: Faces): Promise<void> {
  // The reader of a pipe may stop early ("| head"); that is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
  })
  try {
    await createProgram(faces).parseAsync([...argv])
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage
    else process.exitCode = reportError(error, { json: argv.includes('--json'), verbose: argv.includes('--verbose') })
  }
}

function positiveInteger(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('Give a whole number.')
  return value
}
