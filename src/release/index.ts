// Floor 4. Releases move an endpoint from one version to another: a plan of shadow and canary steps, leases that end by themselves,
// guards that watch, a controller that goes on when they allow it.
// Use it for what a release is and does; how it is wired into a server is `app/release`.
export { ReleaseErrors } from './errors.js'
export { BUILT_IN_PLANS, controlWeight, DEFAULT_MIN_UNITS, isSwitch, lengthText, parsePlan, stepText } from './plan.js'
export type {
  CandidateReport,
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
export type {
  ActiveRelease,
  PlanStep,
  Release,
  ReleasePlan,
  ReleaseState,
  ReleaseTarget,
  StepLength,
} from './types.js'
