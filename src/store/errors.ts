// What can go wrong in an engine. Messages name the file or key and the remedy, never a value that was stored.
import { defineErrors } from '../core/index.js'

export const StoreErrors = defineErrors('STORE', {
  CONFLICT: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { constraint: Constraint; on: string }) =>
      `The write breaks a ${p.constraint} constraint (${p.on}). Nothing was written. Read the current state and decide again.`,
  },
  BUSY: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { file: string; waitedMs: number; holder: 'transaction' | 'process' | 'server' }) =>
      p.holder === 'server'
        ? `Waited ${p.waitedMs} ms at most for ${p.file}, where others write or a statement takes too long. Nothing was written. Try again.`
        : p.holder === 'transaction'
          ? `Waited ${p.waitedMs} ms for ${p.file}: a transaction of this process holds it. Inside transaction(), use only the tx it gives you, and wait for nothing else.`
          : `Waited ${p.waitedMs} ms for ${p.file}: another process is writing to it. Close the other program and try again.`,
  },
  FULL: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { file: string }) =>
      `No space is left for ${p.file}. Nothing was written. Free some space and try again.`,
  },
  CORRUPT: {
    status: 503,
    retry: false,
    level: 'error',
    message: (p: { file: string; reason: string }) =>
      `${p.file} is damaged or is no SQLite database: ${p.reason}. It was left as it is. Restore it from a backup, or move it away to start empty.`,
  },
  UNAVAILABLE: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { file: string; reason: string; remedy?: string }) =>
      `${p.file} cannot be read or written: ${p.reason}. ${p.remedy ?? 'Check that its folder exists, its permissions and its disk.'}`,
  },
  OUTCOME_UNKNOWN: {
    status: 503,
    retry: false,
    level: 'error',
    message: (p: { file: string; reason: string }) =>
      `The connection to ${p.file} broke while a change was being committed (${p.reason}): it may be written or not. Read the current state before you do it again.`,
  },
  QUERY_FAILED: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { reason: string }) => `The database refused a statement: ${p.reason}. This is a mistake in the code.`,
  },
  VALUE_INVALID: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { parameter: number; reason: string }) =>
      `Parameter ${p.parameter} of a statement cannot be stored: ${p.reason}.`,
  },
  THREAD_DIED: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { file: string }) =>
      `The thread that owns ${p.file} ended in mid-call; what was not acknowledged may not be written. The next call starts a new one.`,
  },
  CLOSED: {
    status: 503,
    retry: false,
    level: 'warn',
    message: (p: { file: string }) =>
      `${p.file} is closed: the server is shutting down. Send the request to another one.`,
  },
  SCHEMA_NEWER: {
    status: 503,
    retry: false,
    level: 'error',
    message: (p: { domain: string; migration: string }) =>
      `The database was written by a newer Headrace: the ${p.domain} tables have "${p.migration}", which this version does not know. Nothing was changed. Upgrade Headrace, or restore the backup made before the upgrade.`,
  },
  MIGRATION_ORDER: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { domain: string; migration: string; after: string }) =>
      `Migration "${p.migration}" of ${p.domain} sorts before "${p.after}", which is already applied. Give it a later name.`,
  },
  MIGRATION_FAILED: {
    status: 503,
    retry: false,
    level: 'error',
    message: (p: { domain: string; migration: string }) =>
      `Migration "${p.migration}" of ${p.domain} failed; the database is as it was before. The cause says why.`,
  },
  FOLDER_LOCKED: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { folder: string; pid: number | undefined }) =>
      `${p.folder} is in use by ${p.pid === undefined ? 'another process' : `process ${p.pid}`}. Stop it first, send commands to its server with --server, or choose another data folder.`,
  },
  FOLDER_UNUSABLE: {
    status: 503,
    retry: false,
    level: 'error',
    message: (p: { folder: string; reason: string }) =>
      `${p.folder} cannot be used as the data folder: ${p.reason}. Check its permissions, or choose another one.`,
  },
  BLOB_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { key: string }) => `No blob is stored under "${p.key}".`,
  },
  DIGEST_MISMATCH: {
    status: 422,
    retry: true,
    level: 'warn',
    message: (p: { key: string; expected: string; actual: string }) =>
      `"${p.key}" arrived as ${p.actual} instead of ${p.expected}. Nothing was stored. Send it again, or correct the digest.`,
  },
  KEY_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { key: string; reason: string }) => `"${p.key}" cannot be a blob key: ${p.reason}.`,
  },
  RANGE_INVALID: {
    status: 416,
    retry: false,
    level: 'info',
    message: (p: { key: string; start: number; end: number | undefined; sizeBytes: number }) =>
      `Bytes ${p.start} to ${p.end ?? 'the end'} of "${p.key}" do not exist: it has ${p.sizeBytes}.`,
  },
  S3_MISSING: {
    status: 500,
    retry: false,
    level: 'error',
    message: () =>
      'store.blobs names an S3 store, and the package that reaches it is not installed. Run "npm install @aws-sdk/client-s3".',
  },
  BLOBS_INVALID: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { problem: string }) =>
      `store.blobs cannot be used: ${p.problem}. It reads s3://bucket/prefix?region=eu-central-1&endpoint=https://minio:9000.`,
  },
  REDIS_FAILED: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { reason: string }) =>
      `Redis did not do what it was asked: ${p.reason}. Check that it runs and that store.redisUrl names it.`,
  },
  NOT_INTEGER: {
    status: 409,
    retry: false,
    level: 'error',
    message: (p: { key: string; reason: string }) => `"${p.key}" cannot be incremented: ${p.reason}.`,
  },
})

export type Constraint = 'unique' | 'foreign-key' | 'not-null' | 'check'
