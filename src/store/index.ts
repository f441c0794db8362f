// Floor 1. The engines that keep things, behind small interfaces: SQL, values by key, files by key, the data folder's lock.
// Embedded implementations live here; Postgres, Redis and S3 plug in behind the same interfaces and contract suites.
// Use it for what must survive or be shared. What a row or a file means belongs to the domain that writes it.
export { type StoreConfig, storeSection } from './config.js'
export { createDiskBlobs } from './disk-blobs.js'
export { makeFolder, syncFolder } from './durable-folder.js'
export { type Constraint, StoreErrors } from './errors.js'
export { lockFolder } from './folder-lock.js'
export { createKafkaStream, type KafkaStreamOptions } from './kafka-stream.js'
export { createMemoryKeyValue } from './memory-key-value.js'
export { createMemoryStream, type MemoryStreamOptions } from './memory-stream.js'
export { openPostgres, type PostgresOptions } from './postgres.js'
export {
  createRedisKeyValue,
  type RedisKeyValue,
  type RedisKeyValueOptions,
  type TokensTaken,
  type TokensWanted,
} from './redis-key-value.js'
export { openRemembered, type Remembered, type RememberedOptions } from './remembered.js'
export { createS3Blobs, type S3BlobsOptions } from './s3-blobs.js'
export { openSql, type SqlOptions } from './sqlite.js'
export type { SentRecord, Stream, StreamConsumer, StreamReader, StreamRecord } from './stream-types.js'
export type {
  BlobInfo,
  Blobs,
  ByteRange,
  FolderLock,
  KeyValue,
  KeyValueEntry,
  Migration,
  Sql,
} from './types.js'
