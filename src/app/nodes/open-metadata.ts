// The metadata store as the configuration names it.
import path from 'node:path'
import type { Platform } from '../../core/index.js'
import { openPostgres, openSql } from '../../store/index.js'
import type { LoadedProject } from '../load-project.js'
import { type LocalState, readLocalCopy } from './local-copy.js'
import { type PatientSql, patient } from './patient-sql.js'

export interface Metadata {
  readonly sql: PatientSql
  /** What is written to, for messages. */
  readonly file: string
  /** What the node knew when it last ran; only of a store that others share. */
  readonly copy: LocalState | undefined
}

export async function openMetadata({ config, dataDir }: LoadedProject, platform: Platform): Promise<Metadata> {
  const { databaseUrl } = config.store
  if (databaseUrl === undefined) {
    const file = path.join(dataDir, 'metadata.db')
    const sql = await openSql({ file, platform })
    return { sql: { ...sql, migrateDue: async () => undefined }, file, copy: undefined }
  }
  const sql = await openPostgres({ url: databaseUrl, platform })
  const copy = await readLocalCopy(dataDir)
  // Without a copy there is nothing to serve by, and what is wrong with the store must be said.
  return {
    sql: copy === undefined ? { ...sql, migrateDue: async () => undefined } : patient(sql),
    file: 'the metadata store',
    copy,
  }
}
