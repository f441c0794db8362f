// `headrace keys`: who may call, what they may do and how much.
import { type Command, InvalidArgumentError } from 'commander'
import type { UsageCount } from '../access/index.js'
import type { KeyView, MadeKey } from '../app/index.js'
import { systemClock } from '../core/index.js'
import type { Decision } from '../decisions/index.js'
import { type Faces, withApi } from './context.js'
import { decisionLine } from './decision-line.js'
import { globalOptions } from './options.js'
import { print, printJson, table } from './output.js'

interface CreateOptions {
  readonly name: string
  readonly role?: string
  readonly on?: string[]
  readonly predict?: string[]
  readonly tenant?: string
  readonly expires?: number
  readonly rate?: number
  readonly burst?: number
  readonly quota?: number
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

export function addKeys(program: Command, faces: Faces): void {
  const keys = program.command('keys').description('make, list, show, revoke and rotate keys, and what they used')

  keys
    .command('create')
    .requiredOption('--name <name>', 'what decisions call it')
    .option('--role <role>', 'viewer, developer, approver or admin')
    .option('--on <names>', 'endpoints and models that the role holds for: fraud,churn* (default: all)', names)
    .option('--predict <names>', 'endpoints to predict with (default: those of the role, from developer up)', names)
    .option('--tenant <tenant>', 'whose predictions it makes and may see')
    .option('--expires <duration>', 'how long it works: 90d, 12h (default: for ever)', duration)
    .option('--rate <rate>', 'requests per second: 100/s', rate)
    .option('--burst <number>', 'requests at once (default: those of a second)', number)
    .option('--quota <rows>', 'rows per day: 1e6/day', quota)
    .description('make a key; what it prints is shown this once')
    .addHelpText(
      'after',
      '\nThe first key is an admin’s: from then on every request needs one.\n\nExamples:\n  headrace keys create --name admin --role admin\n  headrace keys create --name ci --role developer --on "fraud*" --expires 90d\n  headrace keys create --name shop --predict "fraud*" --tenant acme --rate 100/s --quota 1e6/day\n',
    )
    .action(async (own: CreateOptions, command: Command) => {
      const options = globalOptions(command)
      const { name, role, on, predict, tenant, expires, rate: ratePerSecond, burst, quota: quotaPerDay } = own
      const made = await withApi(faces, options, { loads: false }, (api) =>
        api.json<MadeKey>('POST', '/api/v1/keys', {
          name,
          role,
          on,
          predict,
          tenant,
          expiresMs: expires === undefined ? undefined : systemClock.nowMs() + expires,
          ratePerSecond,
          burst,
          quotaPerDay,
        }),
      )
      printMade(made, options.json === true)
    })

  keys
    .command('list')
    .description('every key, without what callers send')
    .addHelpText('after', '\nExample:\n  headrace keys list\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const answer = await withApi(faces, options, { loads: false }, (api) =>
        api.json<{ keys: KeyView[] }>('GET', '/api/v1/keys'),
      )
      if (options.json) return printJson(answer)
      const rows = answer.keys.map((key) => [
        key.name,
        key.id,
        key.state,
        mayText(key),
        limitText(key),
        expiryText(key),
      ])
      print(table(['name', 'id', 'state', 'may', 'at most', 'expires'], rows))
    })

  keys
    .command('show')
    .argument('<key>', 'name or id')
    .description('one key')
    .addHelpText('after', '\nExample:\n  headrace keys show ci\n')
    .action(async (key: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const view = await withApi(faces, options, { loads: false }, (api) =>
        api.json<KeyView>('GET', `/api/v1/keys/${encodeURIComponent(key)}`),
      )
      if (options.json) return printJson(view)
      print(describe(view))
    })

  keys
    .command('revoke')
    .argument('<key>', 'name or id')
    .option('--reason <text>', 'why, for the record')
    .description('refuse a key from now on')
    .addHelpText('after', '\nExample:\n  headrace keys revoke ci --reason "it was in a public repository"\n')
    .action(async (key: string, own: { reason?: string }, command: Command) => {
      const options = globalOptions(command)
      const decision = await withApi(faces, options, { loads: false }, (api) =>
        api.json<Decision>('DELETE', `/api/v1/keys/${encodeURIComponent(key)}`, own),
      )
      if (options.json) printJson(decision)
      else print(decisionLine(decision))
    })

  keys
    .command('rotate')
    .argument('<key>', 'name or id')
    .option('--grace <duration>', 'how long the old one works: 1h (default: not at all)', duration)
    .description('make a new key in place of one')
    .addHelpText('after', '\nExample:\n  headrace keys rotate ci --grace 1h\n')
    .action(async (key: string, own: { grace?: number }, command: Command) => {
      const options = globalOptions(command)
      const made = await withApi(faces, options, { loads: false }, (api) =>
        api.json<MadeKey>('POST', `/api/v1/keys/${encodeURIComponent(key)}/rotate`, { graceMs: own.grace ?? 0 }),
      )
      printMade(made, options.json === true)
    })

  keys
    .command('usage')
    .argument('[key]', 'name or id (default: every caller)')
    .option('--from <day>', 'first day: 2026-11-01')
    .option('--until <day>', 'last day')
    .description('what was predicted, by day and endpoint')
    .addHelpText('after', '\nExample:\n  headrace keys usage shop --from 2026-11-01\n')
    .action(async (key: string | undefined, own: { from?: string; until?: string }, command: Command) => {
      const options = globalOptions(command)
      const query = new URLSearchParams({ ...own, ...(key !== undefined && { caller: key }) })
      const answer = await withApi(faces, options, { loads: false }, async (api) => ({
        ...(await api.json<{ usage: UsageCount[] }>('GET', `/api/v1/usage?${query}`)),
        ...(await api.json<{ keys: KeyView[] }>('GET', '/api/v1/keys')),
      }))
      if (options.json) return printJson({ usage: answer.usage })
      const names = new Map(answer.keys.map(({ id, name }) => [id, name]))
      const rows = answer.usage.map((one) => [
        one.day,
        names.get(one.caller) ?? one.caller,
        one.endpoint,
        one.predictions,
        one.rows,
      ])
      print(table(['day', 'caller', 'endpoint', 'predictions', 'rows'], rows))
    })
}

function printMade(made: MadeKey, isJson: boolean): void {
  if (isJson) {
    printJson(made)
    return
  }
  print(`${made.secret}\n`)
  print(describe(made.key))
  print('\nKeep it now: it is stored nowhere and cannot be shown again. Callers send "Authorization: Bearer <key>".')
}

function describe(key: KeyView): string {
  return [
    `${key.name} (${key.id}): ${key.state}`,
    `  may: ${mayText(key)}`,
    `  tenant: ${key.tenant}`,
    `  at most: ${limitText(key) || 'no limit'}`,
    `  expires: ${expiryText(key)}`,
  ].join('\n')
}

function mayText({ role, on, predict }: KeyView): string {
  const held = role === null ? [] : [on === null ? role : `${role} on ${on.join(', ')}`]
  return [...held, ...(predict.length === 0 ? [] : [`predict with ${predict.join(', ')}`])].join('; ')
}

function limitText({ ratePerSecond, quotaPerDay }: KeyView): string {
  const limits = [ratePerSecond !== null && `${ratePerSecond}/s`, quotaPerDay !== null && `${quotaPerDay} rows/day`]
  return limits.filter(Boolean).join(', ')
}

function expiryText({ expiresMs }: KeyView): string {
  return expiresMs === null ? 'never' : new Date(expiresMs).toISOString()
}

function names(text: string): string[] {
  return text.split(',').map((name) => name.trim())
}

function duration(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text)
  if (match === null) throw new InvalidArgumentError('Give a length of time: 90d, 12h, 30m or 60s.')
  return Number(match[1]) * UNIT_MS[match[2]!]!
}

function number(text: string): number {
  const value = Number(text)
  if (!/^[\d.]+(?:e\d+)?$/i.test(text) || !(value > 0)) throw new InvalidArgumentError('Give a number above 0.')
  return value
}

function rate(text: string): number {
  if (!text.endsWith('/s')) throw new InvalidArgumentError('Give requests per second: 100/s.')
  return number(text.slice(0, -2))
}

function quota(text: string): number {
  if (!text.endsWith('/day')) throw new InvalidArgumentError('Give rows per day: 1e6/day.')
  return number(text.slice(0, -4))
}
