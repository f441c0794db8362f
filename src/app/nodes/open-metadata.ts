// The metadata store as the configuration names it.
import path from 'node:path'
import type { Platform } from '../../core/index.js'
import { openPostgres, openSql } from '../../store/index.js'
import type { LoadedProject } from '../load-project.js'
import { hasLocalCopy } from './local-copy.js'
import { type PatientSql, patient } from './patient-sql.js'

export interface Metadata {
  readonly sql: PatientSql
  /** What is written to, for messages. */
  readonly file: string
  /** Whether the node knows what it needs to start without the store. */
  readonly hasCopy: boolean
}

export async function openMetadata({ config, dataDir }: LoadedProject, platform: Platform): Promise<Metadata> {
  const { databaseUrl } = config.store
  if (databaseUrl === undefined) {
    const file = path.join(dataDir, 'metadata.db')
    const sql = await openSql({ file, platform })
    return { sql: { ...sql, migrateDue: async () => undefined }, file, hasCopy: false }
  }
  const sql = await openPostgres({ url: databaseUrl, platform })
  const hasCopy = hasLocalCopy(dataDir)
  // Without a copy there is nothing to serve by, and what is wrong with the store must be said.
  return {
    sql: hasCopy ? patient(sql) : { ...sql, migrateDue: async () => undefined },
    file: 'the metadata store',
    hasCopy,
  }
}
