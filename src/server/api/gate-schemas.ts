// The shapes of gates in the API. A test compares what the server answers with them.
import Type from 'typebox'
import { mapOf, orNull, VersionNumber } from './schemas.js'

const Actor = Type.Object({ kind: Type.Enum(['person', 'rule', 'system']), name: Type.String() })

export const GateReportView = Type.Object({
  endpoint: Type.String(),
  model: Type.String(),
  version: VersionNumber,
  digest: orNull('string'),
  champion: Type.Union([Type.Object({ version: VersionNumber, digest: Type.String() }), Type.Null()], {
    description: 'What the endpoint serves by this model now',
  }),
  passed: Type.Boolean({ description: 'No gate failed; see notChecked for those that were skipped' }),
  awaitsApproval: Type.Boolean({ description: 'Everything passed, and approvals are missing' }),
  results: Type.Array(
    Type.Object({
      gate: Type.String({ examples: ['evaluation:holdout/auc'] }),
      verdict: Type.Enum(['passed', 'failed', 'skipped']),
      summary: Type.String(),
      evidence: mapOf(Type.Unknown()),
      durationMs: Type.Number(),
    }),
  ),
  notChecked: Type.Array(Type.String(), { description: 'Gates that were skipped, each with its reason' }),
  settings: Type.String({ description: 'Stands for the configuration of the gates that this is a report of' }),
  checkedMs: Type.Number(),
  durationMs: Type.Number(),
})

const Measured = Type.Object({
  rows: Type.Integer(),
  concurrency: Type.Integer(),
  calls: Type.Integer(),
  p50Ms: Type.Number(),
  p95Ms: Type.Number(),
  p99Ms: Type.Number(),
  rowsPerSecond: Type.Number(),
  noise: Type.Number({ description: 'Spread of the repeats, 0 for none' }),
  turnedAway: Type.Integer(),
})

export const ProfileView = Type.Object({
  model: Type.String(),
  version: VersionNumber,
  digest: Type.String(),
  machine: Type.Object({
    cpus: Type.Integer(),
    cpu: Type.String(),
    memoryBytes: Type.Number(),
    load: Type.Number(),
    node: Type.String(),
    platform: Type.String(),
  }),
  memory: Type.Object({ sizeBytes: Type.Number(), isMeasured: Type.Boolean() }),
  batches: Type.Array(Measured, { description: 'One caller, calls of more and more rows' }),
  callers: Type.Array(Measured, { description: 'Calls of one row by more and more callers' }),
  cost: Type.Union([
    Type.Object({
      rowMs: Type.Number(),
      fixedMs: Type.Number(),
      points: Type.Array(
        Type.Object({
          rows: Type.Integer(),
          runs: Type.Integer(),
          medianMs: Type.Number(),
          expectedMs: Type.Number(),
          residual: Type.Number(),
        }),
      ),
      worstResidual: Type.Number(),
    }),
    Type.Null(),
  ]),
  recommended: Type.Union([Type.Object({ maxBatchSize: Type.Integer(), reason: Type.String() }), Type.Null()]),
  noise: Type.Number(),
  durationMs: Type.Number(),
})

export const ApprovalView = Type.Object({
  endpoint: Type.String(),
  model: Type.String(),
  digest: Type.String(),
  verdict: Type.Enum(['approved', 'rejected']),
  comment: orNull('string'),
  by: Actor,
  role: orNull('string'),
  timeMs: Type.Number(),
  decision: Type.String({ description: 'Undo it to revoke' }),
})
