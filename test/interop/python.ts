// Runs a client's script once and hands out its cases. Python starts in seconds, so a script is one process with many cases.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What became of a case: its result, or the traceback of what it raised. */
type Outcome = { readonly saw: unknown } | { readonly raised: string }

export interface Script {
  readonly file: string
  /** The interpreter; undefined when the client is not installed. */
  readonly python: () => string | undefined
  /** The modules that the script needs; all are named when one is missing. */
  readonly modules: readonly string[]
  readonly args: () => Promise<readonly string[]>
}

/** The result of a case. Skips the test, with the reason, where Python or its packages are missing; throws what the case raised. */
export function casesOf({ file, python, modules, args }: Script) {
  let cases: Promise<Readonly<Record<string, Outcome>> | string> | undefined

  async function start(): Promise<Readonly<Record<string, Outcome>> | string> {
    const interpreter = python()
    const missing = `Python with ${modules.join(', ')} is not installed`
    if (interpreter === undefined) return missing
    const isThere = run(interpreter, ['-c', `import ${modules.join(', ')}`]).then(
      () => true,
      () => false,
    )
    if (!(await isThere)) return missing
    const { stdout } = await run(interpreter, [join(import.meta.dirname, file), ...(await args())], {
      maxBuffer: 64 * 1024 * 1024,
      timeout: 180_000,
    })
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, Outcome>
  }

  return async (name: string, skip: (reason: string) => void): Promise<unknown> => {
    cases ??= start()
    const outcomes = await cases
    if (typeof outcomes === 'string') return skip(outcomes)
    const outcome = outcomes[name]
    if (outcome === undefined) throw new Error(`${file} has no case "${name}"; it has ${Object.keys(outcomes)}`)
    if ('raised' in outcome) throw new Error(`"${name}" of ${file} raised:\n${outcome.raised}`)
    return outcome.saw
  }
}
