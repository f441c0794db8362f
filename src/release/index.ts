// Floor 4. Releases move an endpoint from one version to another: a plan of shadow and canary steps, leases that end by themselves,
// guards that watch, a controller that goes on when they allow it.
// Use it for what a release is and does; how it is wired into a server is `app/release`.
export { endingTargets, releaseChangeKinds } from './changes.js'
export { plansSection, type ReleaseSettings, releaseSection } from './config.js'
export { ReleaseController } from './controller.js'
export { DroppedJournal } from './dropped-journal.js'
export { ReleaseErrors } from './errors.js'
export {
  type DatasetSettings,
  datasetsSection,
  type EvaluationSettings,
  type GateSettings,
  gatesSchema,
} from './gates/config.js'
export { type CostLine, fitCostLine, recommendBatchSize } from './gates/cost-line.js'
export { countApprovals } from './gates/count-approvals.js'
export { GateErrors } from './gates/errors.js'
export type { EvaluationResult, JudgedRows, MeasuredRows, SliceColumn } from './gates/judge.js'
export { judgeApart } from './gates/judge-thread.js'
export {
  createGateService,
  type GatedEndpoint,
  type GateService,
  type GateServiceOptions,
  type Verdict,
} from './gates/service.js'
export { type CallersView, compareSignatures, type SignatureChange } from './gates/signature.js'
export { actorText, gateChangeKinds, gateMigrations } from './gates/store.js'
export type { Approval, GateReport, GateResult, GateVerdict, GateVersion } from './gates/types.js'
export { guardsOfEndpoint, guardsSection } from './guards/settings.js'
export { LEASE_MS, LeaseTable } from './leases.js'
export { ReleaseKeeper } from './node.js'
export { createReleaseService } from './operations.js'
export { BUILT_IN_PLANS, controlWeight, DEFAULT_MIN_UNITS, isSwitch, lengthText, parsePlan, stepText } from './plan.js'
export { releaseTree, selectorOf, versionLeaves, weightOf } from './release-tree.js'
export { keepPruned } from './retention.js'
export type {
  CandidateReport,
  Grant,
  GuardHistory,
  GuardPoint,
  NamedPlan,
  ReleaseChangeOptions,
  ReleaseEvent,
  ReleaseNode,
  ReleaseProgress,
  ReleaseRequest,
  ReleaseService,
  ReleaseStatus,
} from './service.js'
export { readActiveReleases, readReleaseTargets, releaseMigrations } from './tables.js'
export type {
  ActiveRelease,
  PlanStep,
  Release,
  ReleasePlan,
  ReleaseState,
  ReleaseTarget,
  StepLength,
} from './types.js'
