// `npm run demo:release`: people pay, and the fraud model is replaced under them by a plan: first by a better version, then by a broken
// one, which a guard takes back. Ends with status 0 only if both went as they should.
//   tsx examples/shop/demo/release.ts [--plain] [--exit] [--time-scale 720] [--at-once 12]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import type { GateReport, Release, ReleaseStatus } from 'headrace/release'
import { createWorld } from '../world/world.js'
import { type Answers, type Customers, startCustomers } from './release/customers.js'
import { BROKEN, REGRESSION, TREES, writeProject } from './release/project.js'
import { createTerminal, decisionLines, guardLines, isOver } from './release/terminal.js'
import { startServer } from './server.js'

const FRAME_MS = 200
/** The first answers of a process that has just started are slow. */
const WARM_UP_MS = 1_500
/** So long it is watched that a version that was taken back answers nobody any more. */
const AFTERWARDS_MS = 3_000

const { values } = parseArgs({
  options: {
    plain: { type: 'boolean', default: false },
    exit: { type: 'boolean', default: false },
    'time-scale': { type: 'string', default: '720' },
    'at-once': { type: 'string', default: '12' },
  },
})
const timeScale = positive('time-scale')
const atOnce = positive('at-once')
const terminal = createTerminal(process.stdout, values.plain || !process.stdout.isTTY)
const { bold, dim, red, green, yellow, line } = terminal
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort())
process.once('SIGTERM', () => interrupted.abort())

const folder = await mkdtemp(join(tmpdir(), 'headrace-release-'))
const world = createWorld({ seed: 11, shoppers: 2_000, sessions: 1, payments: 5_000, pages: 1, weeks: 1 })
writeProject(folder, world)
line(bold('A release that goes well, and one that takes itself back'))
line(`
  version ${REGRESSION}  a logistic regression: it serves now
  version ${TREES}  boosted trees: better, and to take its place
  version ${BROKEN}  the same trees, broken: trained before the shop sold to Switzerland, it fails for every payment from there.
             Its gates cannot see that: what it is evaluated on is as old as it is.

${yellow(`Time is compressed: the time of a release passes ${timeScale} times faster, an hour of its plan in ${(3_600 / timeScale).toFixed(0)} s.`)}
Nothing else is: guards count people, and those you see are simulated, but sent, answered and logged one by one.
`)
line(dim('Starting a server…'))
const server = await startServer(folder, 1, [])
const customers = startCustomers({ url: server.url, world, atOnce })
try {
  await wait(WARM_UP_MS)
  const isWell = (await goesWell(customers)) && (await goesWrong(customers))
  if (!isWell) process.exitCode = 1
  if (!values.exit && !interrupted.signal.aborted) {
    line(bold(`\nServing on, with people paying, until Ctrl-C: ${server.url}/console/`))
    await new Promise((resolve) => interrupted.signal.addEventListener('abort', resolve))
    line()
  }
} catch (error) {
  if (!interrupted.signal.aborted) throw error
} finally {
  await customers.stop()
  await server.stop()
  await rm(folder, { recursive: true, force: true })
  // That it stopped a candidate was told already.
  for (const complaint of server.complaints) if (!complaint.includes('candidate is stopped')) line(dim(complaint))
}

/** Version 2, through every step of the endpoint's plan. */
async function goesWell(customers: Customers): Promise<boolean> {
  const { status, answers } = await play(customers, TREES, undefined)
  const isDone = status.release.state === 'completed'
  line(
    isDone
      ? green(bold(`✓ Version ${TREES} has all traffic.`))
      : red(bold(`✗ Version ${TREES} was not to end like this: ${status.release.reason ?? status.release.state}`)),
  )
  line(
    `  ${answers.asked} payments, ${answers.failed} without an answer; ${answers.customersOf(TREES)} people had version ${TREES},`,
  )
  line(`  ${answers.movedBack.size} of them were given version ${REGRESSION} again while its share grew.`)
  tell(status)
  return isDone && answers.failed === 0 && answers.movedBack.size === 0
}

/** Version 4, without a shadow step first, which would have shown it before anybody noticed. */
async function goesWrong(customers: Customers): Promise<boolean> {
  const { status, answers } = await play(customers, BROKEN, 'canary:5%/2h,25%/2h,100%/30m')
  const { release } = status
  const decision = status.events.find(({ kind }) => kind === 'release.rollback')
  const failed = status.guards.map(({ report }) => report).find(({ verdict }) => verdict === 'failed')
  if (release.state !== 'rolled-back' || decision === undefined || failed === undefined) {
    line(red(bold(`✗ Version ${BROKEN} was to be taken back, and is ${release.state}.`)))
    tell(status)
    return false
  }
  const lastMs = Math.max(answers.lastMs.get(BROKEN) ?? 0, answers.lastMs.get(0) ?? 0)
  const later = customers.restart(BROKEN)
  await wait(AFTERWARDS_MS)
  const late = later.byVersion.get(BROKEN) ?? 0
  const { relative } = failed
  const bound = (value: number): string => (value >= 1e6 ? 'unbounded' : value.toFixed(1))
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`
  const share = ((100 * answers.failed) / answers.asked).toFixed(2)
  line(green(bold(`✓ Version ${BROKEN} was taken back by a guard, and by nobody else.`)))
  line(`
  guard      ${bold(failed.guard)}: ${failed.candidate} people failed for the first time with version ${BROKEN}, ${failed.reference} with version ${TREES}
  evidence   e-value ${failed.eValue.toPrecision(4)}; it fails at ${(1 / failed.alpha).toFixed(0)}, which a version that is no worse ever reaches with a probability of ${failed.alpha}
  interval   ${relative === null ? 'none' : `the rate of failures is ${bound(relative.low)} to ${bound(relative.high)} times that of version ${TREES}, at any time of looking`}
  time       ${seconds(decision.timeMs - (answers.firstFailedMs ?? decision.timeMs))} from the first failed payment to the decision, ${lastAnswer(lastMs - decision.timeMs)}
  people     ${answers.failed} of ${answers.asked} payments failed (${share} %), of ${answers.customersOf(0)} people; ${answers.customersOf(BROKEN)} were answered by version ${BROKEN}
  since      ${later.asked} payments in ${AFTERWARDS_MS / 1000} s: version ${TREES} answered ${later.byVersion.get(TREES) ?? 0}, version ${BROKEN} ${late}, ${later.failed} failed
`)
  for (const [problem, count] of answers.problems) line(dim(`  ${count} × ${problem.slice(0, 150)}`))
  line(
    dim(
      '  The shop itself would have answered those payments: its fraud endpoint has a fallback (examples/shop/headrace.config.ts).',
    ),
  )
  tell(status)
  return late === 0 && later.failed === 0
}

function lastAnswer(afterMs: number): string {
  const text = `${Math.abs(afterMs).toFixed(0)} ms`
  return `the last answer of version ${BROKEN} came ${text} ${afterMs > 0 ? 'after' : 'before'} it`
}

/** Starts a release and shows it until it is over. */
async function play(
  customers: Customers,
  to: number,
  plan: string | undefined,
): Promise<{ status: ReleaseStatus; answers: Answers }> {
  const asked = `headrace release start fraud --to ${to}${plan === undefined ? '' : ` --plan ${plan}`} --time-scale ${timeScale}`
  line(`\n${bold(`$ ${asked}`)}`)
  const answers = customers.restart(to)
  const body = { endpoint: 'fraud', to, timeScale, ...(plan !== undefined && { plan }) }
  const release = await ask<Release>('POST', '/api/v1/releases', body)
  line(`  ${release.plan.text}`)
  const report = await ask<GateReport>('GET', `/api/v1/gates/reports/fraud/fraud/${to}`)
  for (const { gate, verdict, summary } of report.results)
    if (verdict !== 'skipped') line(`  ${verdict === 'passed' ? green('✓') : red('✗')} ${gate}: ${summary}`)
  line(`  ${dim('see it on')} ${server.url}/console/releases/${release.id}\n`)

  let told = 0
  let before = { atMs: performance.now(), asked: answers.asked }
  let perSecond = 0
  for (;;) {
    const status = await ask<ReleaseStatus>('GET', `/api/v1/releases/${release.id}`)
    const decisions = decisionLines(status)
    for (const decision of decisions.slice(told)) line(`  ${bold(decision)}`)
    told = decisions.length
    if (isOver(status.release)) {
      line()
      return { status, answers }
    }
    if (interrupted.signal.aborted) throw new Error('interrupted')
    const atMs = performance.now()
    if (atMs - before.atMs > 1_000) {
      perSecond = (1000 * (answers.asked - before.asked)) / (atMs - before.atMs)
      before = { atMs, asked: answers.asked }
    }
    terminal.now(status, answers, perSecond)
    await wait(FRAME_MS)
  }
}

function tell({ guards }: ReleaseStatus): void {
  const lines = guardLines(guards)
  if (lines.length > 0) line(`\n  ${dim('what the guards saw, most evidence first')}`)
  for (const text of lines.slice(0, 6)) line(`  ${text}`)
}

async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  const init =
    body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json', 'headrace-actor': 'demo' } }
  const response = await fetch(`${server.url}${path}`, { method, ...init })
  if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as T
}

function positive(name: 'time-scale' | 'at-once'): number {
  const value = Number(values[name])
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${name} needs a whole number above 0, not "${values[name]}".`)
  return value
}
