// `headrace models check`, `approve` and `reject`: whether a version may take an endpoint's traffic, and people's word on it.
import process from 'node:process'
import type { Command } from 'commander'
import { parseVersion } from '../app/index.js'
import type { VersionRef } from '../core/index.js'
import type { Decision } from '../decisions/index.js'
import type { GateReport } from '../release/index.js'
import { type Faces, withApi } from './context.js'
import { decisionLine } from './decision-line.js'
import { runLong } from './long-work.js'
import { globalOptions } from './options.js'
import { EXIT, print, printJson } from './output.js'
import { writeOutput } from './output-file.js'

/** Adds to the commands of `headrace models`. */
export function addModelsGates(program: Command, faces: Faces): void {
  const models = program.commands.find((command) => command.name() === 'models')!

  models
    .command('check')
    .argument('<version>', 'model@version: fraud@4')
    .option('--endpoint <endpoint>', 'for which endpoint; default the one of the name of the model')
    .option('--only <gates>', 'only these gates, separated by commas; the report is then not kept')
    .option('--junit <file>', 'also write the report as JUnit XML')
    .description('check the gates that a version must pass before it takes traffic; fails when one fails')
    .addHelpText(
      'after',
      '\nExamples:\n  headrace models check fraud@4\n  headrace models check fraud@4 --json --junit gates.xml\n',
    )
    .action(async (text: string, own: { endpoint?: string; only?: string; junit?: string }, command: Command) => {
      const options = globalOptions(command)
      const ref = parseVersion(text)
      const only = own.only === undefined ? {} : { only: own.only.split(',').map((name) => name.trim()) }
      const report = await withApi(faces, options, { loads: true }, (api) =>
        runLong<GateReport>(api, reportPath(ref, own.endpoint), only),
      )
      if (own.junit !== undefined) await writeOutput(own.junit, junit(report))
      if (options.json) printJson(report)
      else print(describeReport(report))
      if (!report.passed) process.exitCode = EXIT.failed
    })

  for (const [name, verdict, description] of [
    ['approve', 'approved', "say that a version may take an endpoint's traffic; holds for its present content"],
    ['reject', 'rejected', 'say that it may not; its gates fail until that is undone'],
  ] as const) {
    models
      .command(name)
      .argument('<version>', 'model@version: fraud@4')
      .option('--endpoint <endpoint>', 'for which endpoint; default the one of the name of the model')
      .option('--comment <text>', 'kept with the decision')
      .description(description)
      .addHelpText(
        'after',
        `\nExample:\n  headrace models ${name} fraud@4 --comment "${verdict === 'approved' ? 'looked at the slices' : 'worse for new countries'}"\n`,
      )
      .action(async (text: string, own: { endpoint?: string; comment?: string }, command: Command) => {
        const options = globalOptions(command)
        const { model, version } = parseVersion(text)
        const path = `/api/v1/gates/approvals/${parts(own.endpoint ?? model, model, version)}`
        const { comment } = own
        const decision = await withApi(faces, options, { loads: true }, (api) =>
          api.json<Decision>('POST', path, { verdict, ...(comment === undefined ? {} : { comment }) }),
        )
        if (options.json) printJson(decision)
        else print(`${decisionLine(decision)}\nRevoke it with "headrace decisions undo ${decision.id}".`)
      })
  }
}

export function reportPath({ model, version }: VersionRef, endpoint: string = model): string {
  return `/api/v1/gates/reports/${parts(endpoint, model, version)}`
}

function parts(endpoint: string, model: string, version: number): string {
  return `${encodeURIComponent(endpoint)}/${encodeURIComponent(model)}/${version}`
}

const MARKS = { passed: '✓', failed: '✗', skipped: '–' } as const

export function describeReport(report: GateReport): string {
  const { model, version, endpoint, champion, passed, awaitsApproval, results, digest } = report
  const against = champion === null ? '' : `, against version ${champion.version}`
  const lines = [`${model}@${version} for endpoint ${endpoint}${against}`]
  if (digest !== null) lines.push(`  ${digest}`)
  for (const { gate, verdict, summary } of results) lines.push(`  ${MARKS[verdict]} ${gate}: ${summary}`)
  const skipped = results.filter(({ verdict }) => verdict === 'skipped').length
  const failed = results.filter(({ verdict }) => verdict === 'failed').length
  const unchecked = skipped === 0 ? '' : ` ${skipped} not checked.`
  if (passed) lines.push(`Passed.${unchecked}`)
  else if (awaitsApproval) lines.push(`Waits for approval.${unchecked}`)
  else lines.push(`Failed: ${failed} of ${results.length} gates.${unchecked}`)
  return lines.join('\n')
}

/** One test case a gate, as CI systems show them. */
function junit({ model, version, endpoint, results, durationMs }: GateReport): string {
  const of = (verdict: string) => results.filter((result) => result.verdict === verdict).length
  const cases = results.map(({ gate, verdict, summary, durationMs: ms }) => {
    const text = xmlText(summary)
    const inner =
      verdict === 'failed'
        ? `<failure message="${text}"/>`
        : verdict === 'skipped'
          ? `<skipped message="${text}"/>`
          : ''
    return `  <testcase classname="${xmlText(`${model}@${version}`)}" name="${xmlText(gate)}" time="${ms / 1000}">${inner}</testcase>`
  })
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="${xmlText(`gates of ${endpoint}`)}" tests="${results.length}" failures="${of('failed')}" skipped="${of('skipped')}" time="${durationMs / 1000}">`,
    ...cases,
    '</testsuite>',
    '',
  ].join('\n')
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function xmlText(text: string): string {
  // Other control characters are not allowed in XML at all.
  return text.replace(/(?![\t\n\r])\p{Cc}/gu, '?').replace(/[&<>"]/g, (letter) => ENTITIES[letter]!)
}
