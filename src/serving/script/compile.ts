// A script's source to what it exports. Its version's digest covers this one file, so nothing else that could decide may come in:
// only `headrace` and Node's own modules can be imported.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { builtinModules, createRequire } from 'node:module'
import { dirname } from 'node:path'
import { Script } from 'node:vm'
import { defineScript } from './define-script.js'
import { fail, reasonOf } from './failure.js'

const HEADRACE = { defineScript }
const requireBuiltin = createRequire(import.meta.url)

/** Throws FILE_UNREADABLE, DIGEST_MISMATCH and INVALID. */
export async function compileFile(file: string, digest: string): Promise<string> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw fail('FILE_UNREADABLE', { file, reason: reasonOf(error) })
  })
  const actual = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  if (actual !== digest) throw fail('DIGEST_MISMATCH', { expected: digest, actual, sizeBytes: bytes.length })
  const { createJiti } = await import('jiti')
  try {
    return createJiti(file, { fsCache: false, moduleCache: false }).transform({
      source: bytes.toString('utf8'),
      filename: file,
      ts: file.endsWith('.ts'),
      async: true,
      // Errors then name the line that the author sees.
      retainLines: true,
    })
  } catch (error) {
    throw fail('INVALID', { reason: reasonOf(error) })
  }
}

/** The default export. Throws INVALID. */
export async function evaluate(code: string, file: string): Promise<unknown> {
  const names = 'exports, require, module, __filename, __dirname, jitiImport, jitiESMResolve'
  const module = { exports: {} as Record<string, unknown> }
  try {
    const body = new Script(`(async function (${names}) { ${code}\n})`, { filename: file }).runInThisContext() as (
      ...given: unknown[]
    ) => Promise<void>
    await body(module.exports, load, module, file, dirname(file), async (id: string) => load(id), load)
  } catch (error) {
    throw fail('INVALID', { reason: reasonOf(error, file) })
  }
  // What the compiler leaves in place of a script that it could not read.
  const problem = module.exports['__JITI_ERROR__'] as { readonly message: string } | undefined
  if (problem) throw fail('INVALID', { reason: problem.message.replace(`${file}: `, '').split('\n', 1)[0]! })
  return module.exports['default'] ?? module.exports
}

function load(id: string): unknown {
  if (id === 'headrace') return HEADRACE
  if (id.startsWith('node:') || builtinModules.includes(id)) return requireBuiltin(id)
  throw new Error(
    `it imports "${id}", which its digest does not cover; a script may import "headrace" and Node's own modules, and the rest belongs in its one file`,
  )
}
