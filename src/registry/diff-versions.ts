// What differs between two registered versions, for whoever decides whether the one may take the place of the other.
import type { ColumnSpec, FieldDiff, RegisteredSignature, RegisteredVersion, VersionDiff } from './service.js'

export function diffVersions(from: RegisteredVersion, to: RegisteredVersion): VersionDiff {
  const changes = signatureChanges(from, to)
  return {
    from: { model: from.model, version: from.version },
    to: { model: to.model, version: to.version },
    signature: { isBreaking: changes.some(({ isBreaking }) => isBreaking), changes },
    metrics: metricDiffs(from, to),
    files: fileDiffs(from, to),
    lineage: fieldDiffs({ ...from.lineage }, { ...to.lineage }),
    manifest: fieldDiffs(manifestOf(from), manifestOf(to)),
    featureService: fieldDiff('featureService', featureServiceOf(from), featureServiceOf(to)),
    card: lineDiff(from.card, to.card),
  }
}

type Change = VersionDiff['signature']['changes'][number]

function signatureChanges(from: RegisteredVersion, to: RegisteredVersion): Change[] {
  const changes: Change[] = []
  const add = (isBreaking: boolean, text: string) => changes.push({ text, isBreaking })
  if (from.signature === null || to.signature === null) {
    if (from.signature !== to.signature) add(true, 'only one of the two says what its inputs and outputs are')
  } else {
    inputChanges(from.signature, to.signature, add)
    outputChanges(from.signature, to.signature, add)
  }
  meaningChanges(manifestOf(from), manifestOf(to), add)
  const columns = [manifestOf(from)['features'], manifestOf(to)['features']].map((list) =>
    Array.isArray(list) ? list.map(String) : [],
  ) as [string[], string[]]
  for (const name of columns[1])
    if (columns[0].length > 0 && !columns[0].includes(name)) add(true, `it needs the feature "${name}", which is new`)
  for (const name of columns[0])
    if (columns[1].length > 0 && !columns[1].includes(name)) add(true, `the feature "${name}" is gone`)
  return changes.sort((a, b) => Number(b.isBreaking) - Number(a.isBreaking))
}

type Add = (isBreaking: boolean, text: string) => void

function inputChanges(from: RegisteredSignature, to: RegisteredSignature, add: Add): void {
  const before = byName(from.inputs)
  const after = byName(to.inputs)
  for (const [name, spec] of after) {
    const old = before.get(name)
    if (old !== undefined)
      typeChanges(`input "${name}"`, old, spec, add, (size, other) => other === -1 || size === other)
    else if (spec.isOptional) add(false, `the input "${name}" is new and may be left out`)
    else add(true, `the input "${name}" is new, and callers do not send it`)
  }
  for (const name of before.keys()) if (!after.has(name)) add(true, `the input "${name}" is gone, and callers send it`)
}

function outputChanges(from: RegisteredSignature, to: RegisteredSignature, add: Add): void {
  const before = byName(from.outputs)
  const after = byName(to.outputs)
  for (const [name, spec] of before) {
    const next = after.get(name)
    if (next === undefined) add(true, `the output "${name}" is gone, and callers read it`)
    else typeChanges(`output "${name}"`, spec, next, add, (size, other) => size === -1 || size === other)
  }
  for (const name of after.keys()) if (!before.has(name)) add(false, `the output "${name}" is new`)
}

/** Callers read answers by what `model.json` says the outputs mean, and classes by their labels. */
function meaningChanges(
  from: Readonly<Record<string, unknown>>,
  to: Readonly<Record<string, unknown>>,
  add: Add,
): void {
  const [before, after] = [from, to].map(({ outputs }) => outputs ?? {}) as Record<string, string>[]
  for (const name of new Set([...Object.keys(before!), ...Object.keys(after!)]))
    if (before![name] !== after![name])
      add(true, `the output "${name}" meant ${before![name] ?? 'itself'} and means ${after![name] ?? 'itself'}`)
  const [labels, others] = [from, to].map(({ labels }) => (Array.isArray(labels) ? labels.join(', ') : 'none'))
  if (labels !== others) add(true, `the labels were ${labels} and are ${others}`)
}

/** `fits` says whether callers that know the one size can live with the other. */
function typeChanges(
  what: string,
  from: ColumnSpec,
  to: ColumnSpec,
  add: Add,
  fits: (size: number, other: number) => boolean,
): void {
  if (from.datatype !== to.datatype) add(true, `the ${what} was ${from.datatype} and is ${to.datatype}`)
  const [before, after] = [from.shape, to.shape]
  if (before === null || after === null || JSON.stringify(before) === JSON.stringify(after)) return
  const isFit = before.length === after.length && before.every((size, i) => fits(size, after[i]!))
  add(!isFit, `the ${what} was [${before.join(', ')}] and is [${after.join(', ')}]`)
}

function byName(specs: readonly ColumnSpec[]): Map<string, ColumnSpec> {
  return new Map(specs.map((spec) => [spec.name, spec]))
}

function metricDiffs(from: RegisteredVersion, to: RegisteredVersion): VersionDiff['metrics'] {
  const names = [...new Set([...Object.keys(from.metrics), ...Object.keys(to.metrics)])].sort()
  return names
    .filter((name) => !Object.is(from.metrics[name], to.metrics[name]))
    .map((name) => ({ name, from: from.metrics[name] ?? null, to: to.metrics[name] ?? null }))
}

function fileDiffs(from: RegisteredVersion, to: RegisteredVersion): VersionDiff['files'] {
  const before = new Map(from.files.map((file) => [file.path, file]))
  const after = new Map(to.files.map((file) => [file.path, file]))
  return [...new Set([...before.keys(), ...after.keys()])]
    .sort()
    .filter((path) => before.get(path)?.digest !== after.get(path)?.digest)
    .map((path) => ({ path, from: before.get(path) ?? null, to: after.get(path) ?? null }))
}

function fieldDiffs(from: Readonly<Record<string, unknown>>, to: Readonly<Record<string, unknown>>): FieldDiff[] {
  return [...new Set([...Object.keys(from), ...Object.keys(to)])]
    .sort()
    .flatMap((field) => fieldDiff(field, from[field], to[field]) ?? [])
}

function fieldDiff(field: string, from: unknown, to: unknown): FieldDiff | null {
  const [before, after] = [from, to].map((value) => (value === undefined ? null : JSON.stringify(value))) as [
    string | null,
    string | null,
  ]
  return before === after ? null : { field, from: before, to: after }
}

function manifestOf({ manifest }: RegisteredVersion): Readonly<Record<string, unknown>> {
  return manifest === null ? {} : (JSON.parse(manifest.replace(/^\uFEFF/, '')) as Record<string, unknown>)
}

function featureServiceOf(version: RegisteredVersion): unknown {
  return manifestOf(version)['featureService'] ?? version.lineage.featureService
}

/** More lines than that are compared as sets, which is coarser and takes no square of their number. */
const MAX_LINES = 1000

/** The lines that only one of two texts has, in order: `-` of the first, `+` of the second. */
export function lineDiff(from: string, to: string): string[] {
  if (from === to) return []
  const a = from === '' ? [] : from.split('\n')
  const b = to === '' ? [] : to.split('\n')
  if (a.length > MAX_LINES || b.length > MAX_LINES) {
    const [inA, inB] = [new Set(a), new Set(b)]
    return [
      ...a.filter((line) => !inB.has(line)).map((line) => `- ${line}`),
      ...b.filter((line) => !inA.has(line)).map((line) => `+ ${line}`),
    ]
  }
  // The longest common subsequence, from the end.
  const width = b.length + 1
  const lengths = new Uint16Array((a.length + 1) * width)
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i * width + j] =
        a[i] === b[j]
          ? lengths[(i + 1) * width + j + 1]! + 1
          : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!)
  const lines: string[] = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      i++
      j++
    } else if (j >= b.length || (i < a.length && lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!))
      lines.push(`- ${a[i++]}`)
    else lines.push(`+ ${b[j++]}`)
  }
  return lines
}
