// A metadata store that may be away when the node starts: schema steps that cannot be made then are made when it is back.
import { HeadraceError } from '../../core/index.js'
import type { Migration, Sql } from '../../store/index.js'

export interface PatientSql extends Sql {
  /** Makes the steps that were put off. */
  migrateDue(): Promise<void>
}

export function patient(sql: Sql): PatientSql {
  const due = new Map<string, Readonly<Record<string, Migration>>>()
  return {
    ...sql,
    async migrate(domain, migrations) {
      try {
        await sql.migrate(domain, migrations).catch((error: unknown) => {
          if (!(error instanceof HeadraceError && error.code === 'STORE_OUTCOME_UNKNOWN')) throw error
          // The store went away in the commit: what has been made is seen when it is asked again.
          return sql.migrate(domain, migrations)
        })
      } catch (error) {
        if (!isAway(error)) throw error
        due.set(domain, migrations)
      }
    },
    async migrateDue() {
      for (const [domain, migrations] of [...due]) {
        await sql.migrate(domain, migrations)
        due.delete(domain)
      }
    },
  }
}

export function isAway(error: unknown): boolean {
  return error instanceof HeadraceError && error.code === 'STORE_UNAVAILABLE'
}
