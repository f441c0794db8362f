// Evaluation: the candidate, and the champion on the same rows, measured on the data sets that the endpoint's gates name.

import { toHeadraceError } from '../../core/index.js'
import type { RowValue } from '../../features/index.js'
import { type EvaluationResult, type EvaluationSettings, GateErrors, judgeApart } from '../../release/index.js'
import { Collected } from './collected.js'
import { type Dataset, openDataset } from './dataset.js'
import type { Candidate, Finding, Gate } from './gate.js'
import { Scorer } from './scorer.js'

export const evaluation: Gate = {
  name: 'evaluation',
  isNeeded: false,
  async check(candidate) {
    const { settings, endpoint, app } = candidate
    if (settings === undefined || settings.evaluations.length === 0)
      return [{ verdict: 'skipped', summary: `No evaluation is configured (endpoints.${endpoint}.gates.evaluations).` }]
    const names = new Set(settings.evaluations.map(({ dataset }) => dataset))
    const findings: Finding[] = []
    for (const name of names) {
      const evaluations = settings.evaluations.filter(({ dataset }) => dataset === name)
      const limit = new AbortController()
      const signal = AbortSignal.any([candidate.signal, limit.signal])
      const timer = app.platform.clock.after(settings.timeoutMs, () => limit.abort())
      try {
        findings.push(...(await evaluate(candidate, name, evaluations, signal)))
      } catch (thrown) {
        if (candidate.signal.aborted) throw GateErrors.CANCELLED({ what: 'check' })
        const error = toHeadraceError(thrown)
        const summary = limit.signal.aborted
          ? `The evaluation took longer than ${settings.timeoutMs} ms (gates.timeoutMs) and was given up.`
          : error.message
        for (const { metric } of evaluations)
          findings.push({ gate: gateName(name, metric), verdict: 'failed', summary, evidence: { code: error.code } })
      } finally {
        timer.cancel()
      }
    }
    return findings
  },
}

function gateName(dataset: string, metric: string): string {
  return `evaluation:${dataset}/${metric}`
}

async function evaluate(
  candidate: Candidate,
  name: string,
  evaluations: readonly EvaluationSettings[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const { app, served, champion, noChampion } = candidate
  const dataset = await openDataset(app, name, signal)
  try {
    const scorer = new Scorer(app, served!, dataset, signal)
    let champions: Scorer | undefined
    let whyNoChampion = champion === undefined ? noChampion : undefined
    if (champion !== undefined) {
      try {
        champions = new Scorer(app, champion, dataset, signal)
      } catch (error) {
        whyNoChampion = (error as Error).message
      }
    }
    const collected = new Collected(dataset, served!, champions && champion)
    const total = Math.min(dataset.totalRows, dataset.settings.limit)
    let done = 0
    for await (const rows of dataset.chunks()) {
      for (let from = 0; from < rows.length; from += TURN_ROWS) {
        const part: RowValue[][] = rows.slice(from, from + TURN_ROWS)
        const answers = await scorer.score(part)
        let others = champions && (await champions.score(part).catch((error: Error) => error))
        if (others instanceof Error) {
          signal.throwIfAborted()
          // The champion cannot go on; the candidate is judged by its limits alone.
          whyNoChampion = `the champion failed on the data set: ${others.message}`
          champions = undefined
          collected.dropChampion()
          others = undefined
        }
        collected.add(part, answers, others)
        done += part.length
        candidate.progress(`evaluation on ${name}`, done, total)
      }
    }
    if (collected.rows === 0) throw GateErrors.DATASET_UNREADABLE({ dataset: name, problem: collected.whyEmpty() })
    const judged = await collected.finish()
    const results = await judgeApart(judged, evaluations, signal)
    return evaluations.map((settings, i) =>
      finding(dataset, settings, results[i]!, collected, scorer, champions, whyNoChampion),
    )
  } finally {
    await dataset.close()
  }
}

/** Between two turns others get the event loop. */
const TURN_ROWS = 256

function finding(
  dataset: Dataset,
  settings: EvaluationSettings,
  result: EvaluationResult,
  collected: Collected,
  scorer: Scorer,
  champions: Scorer | undefined,
  whyNoChampion: string | undefined,
): Finding {
  const { metric, dataset: name } = settings
  const failures = [...result.failures]
  if (scorer.notFinite > 0) failures.push(`It gave NaN or an infinity on ${scorer.notFinite} rows.`)
  const { overall } = result
  const evidence = {
    dataset: {
      name,
      file: dataset.settings.file,
      digest: dataset.digest,
      rows: dataset.totalRows,
      used: collected.rows,
      withoutLabel: collected.withoutLabel,
      unknownClasses: collected.unknownClasses(),
      refusedByCandidate: scorer.refused,
      refusedProblems: scorer.refusedProblems,
      refusedByChampion: champions?.refused ?? 0,
      notFinite: scorer.notFinite,
    },
    settings,
    ...result,
    failures,
    championNotMeasured: whyNoChampion ?? null,
  }
  const gate = gateName(name, metric)
  if (failures.length > 0) return { gate, verdict: 'failed', summary: failures.join(' '), evidence }
  if (result.isSkipped) return { gate, verdict: 'skipped', summary: result.doubts.join(' '), evidence }
  return {
    gate,
    verdict: 'passed',
    summary: summaryOf(settings, result, collected, scorer, whyNoChampion),
    evidence: { ...evidence, value: overall.candidate },
  }
}

function summaryOf(
  { metric, tolerance }: EvaluationSettings,
  { overall, slices, tooSmall, doubts }: EvaluationResult,
  { rows }: Collected,
  { refused }: Scorer,
  whyNoChampion: string | undefined,
): string {
  const short = (value: number) => String(Number(value.toPrecision(4)))
  const parts = [`${metric} is ${short(overall.candidate!)} on ${rows} rows`]
  const { comparison } = overall
  if (comparison !== null)
    parts[0] += `, the champion's ${short(overall.champion!)} (difference ${short(comparison.difference)}, ${Number((100 * comparison.confidence).toFixed(2))} % interval ${short(comparison.low)} to ${short(comparison.high)})`
  parts[0] += '.'
  if (tolerance !== undefined && whyNoChampion !== undefined) parts.push(`Not compared: ${whyNoChampion}`)
  if (slices.length > 0 && comparison !== null)
    parts.push(`None of ${slices.length} slices is shown to be worse than tolerated.`)
  if (tooSmall.length > 0)
    parts.push(
      `Too small to judge: ${tooSmall
        .slice(0, 5)
        .map(({ column, value, rows: few }) => `${column} = ${value} (${few} rows)`)
        .join(', ')}${tooSmall.length > 5 ? `, and ${tooSmall.length - 5} more` : ''}.`,
    )
  if (refused > 0) parts.push(`It could not take ${refused} rows.`)
  if (doubts.length > 0) parts.push(doubts.join(' '))
  return parts.join(' ')
}
