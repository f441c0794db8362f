// Floor 2. The append-only log of predictions, late calls, outcomes and decisions: one NDJSON folder, group-committed.
// Everything about quality, drift and experiments is a reading of it. Appending costs microseconds and never fails.
// Exact counts (bills, quotas) are kept elsewhere: under pressure this log drops records, and counts what it dropped.
export type { Damage } from './block-reader.js'
export { type EndpointLogPolicy, endpointLogPolicy, type LogConfig, logSection } from './config.js'
export { LogErrors } from './errors.js'
export { openLog } from './file-log.js'
export { type LogFile, type LogFiles, realFiles } from './files.js'
export { findPrediction } from './find.js'
export { createMemoryLog, type MemoryLog, type MemoryLogOptions } from './memory-log.js'
export type { LogOptions } from './options.js'
export { type QueryOptions, queryLog } from './query.js'
export { type ReadOptions, readRecords } from './read.js'
export { createLogRelay, type LogOwner, type LogRelay, type LogRelayOptions } from './relay.js'
export type {
  DecisionRecord,
  FileLog,
  LateCallRecord,
  LogBatch,
  LogPolicy,
  LogPosition,
  LogRecord,
  OutcomeRecord,
  Payload,
  PredictionLog,
  PredictionRecord,
  PredictionTrace,
  QueryResult,
  RecordedCall,
  RetentionReport,
  ServedPayload,
  StoredColumn,
  StoredDecision,
  StoredLateCall,
  StoredOutcome,
  StoredPayload,
  StoredPrediction,
  StoredRecord,
  StoredServed,
  StoredServedGroup,
  StoredTensor,
  TakenBatch,
} from './types.js'
