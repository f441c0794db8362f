// A data set of the configuration, opened: its rows with their truth, weights and slices, and which content it has.

import { stat } from 'node:fs/promises'
import path from 'node:path'
import { type Digest, didYouMean } from '../../core/index.js'
import { openRowFile, type RowValue } from '../../features/index.js'
import { fileDigest } from '../../registry/index.js'
import { type DatasetSettings, GateErrors } from '../../release/index.js'
import type { App } from '../app.js'

export interface Dataset {
  readonly name: string
  readonly settings: DatasetSettings
  readonly digest: Digest
  readonly columns: readonly string[]
  readonly totalRows: number
  /** Of those, as many as the configuration allows. */
  chunks(): AsyncIterable<RowValue[][]>
  close(): Promise<void>
}

const MEMORY_BYTES = 256 * 2 ** 20

/** Throws GATE_DATASET_UNREADABLE. */
export async function openDataset({ project }: App, name: string, signal: AbortSignal): Promise<Dataset> {
  const unreadable = (problem: string, cause?: unknown) =>
    GateErrors.DATASET_UNREADABLE({ dataset: name, problem }, cause)
  const settings = project.config.datasets[name]
  if (settings === undefined) {
    const known = Object.keys(project.config.datasets)
    const list = known.length === 0 ? 'there are none' : `there are ${known.join(', ')}`
    throw unreadable(`it is not configured; ${list}.`)
  }
  const file = path.resolve(project.root, settings.file)
  const size = await stat(file).then(
    (found) => found.size,
    () => undefined,
  )
  if (size === undefined) throw unreadable(`there is no file "${settings.file}".`)
  if (size > settings.maxBytes)
    throw unreadable(`"${settings.file}" has ${size} bytes, and ${settings.maxBytes} are allowed (maxBytes).`)
  const [rows, digest] = await Promise.all([
    openRowFile({
      file,
      root: project.root,
      tempFolder: path.join(project.dataDir, 'gates', 'temp'),
      memoryLimitBytes: MEMORY_BYTES,
      limit: settings.limit,
      signal,
    }).catch((error: Error) => {
      throw unreadable(error.message, error)
    }),
    fileDigest(file),
  ])
  try {
    if (rows.totalRows === 0) throw unreadable('it has no rows.')
    for (const column of [settings.label, settings.weight, ...settings.slices]) {
      if (column === undefined || rows.columns.includes(column)) continue
      const meant = didYouMean(column, rows.columns)
      throw unreadable(
        `it has no column "${column}"${meant === undefined ? '' : `; did you mean "${meant}"?`} Its columns: ${rows.columns.slice(0, 50).join(', ')}.`,
      )
    }
  } catch (error) {
    await rows.close()
    throw error
  }
  return { ...rows, name, settings, digest, chunks: () => rows.chunks(), close: () => rows.close() }
}
