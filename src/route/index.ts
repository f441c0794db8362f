// Floor 2. The route tree: which version answers a request. Leaves are versions, inner nodes decide.
// The interpreter is a pure state machine; the path carries out its steps.
// Releases, experiments and failover are edits of a tree, and every choice is recorded with its probability.
export { armAt, assignmentPoint } from './assignment.js'
export { type CompiledRoute, compileRoute } from './compile.js'
export {
  cascade,
  cheapest,
  constant,
  ensemble,
  fallback,
  fastest,
  lastKnown,
  match,
  routeSchema,
  shadow,
  split,
  version,
} from './config.js'
export { constantAnswer } from './constant-answer.js'
export { RouteErrors } from './errors.js'
export { leafText } from './leaf-text.js'
export { stackInputs } from './stack-inputs.js'
export type {
  CallEvent,
  CallRole,
  CallStep,
  Cascade,
  Cheapest,
  Constant,
  ConstantValue,
  Ensemble,
  Fallback,
  FallbackArm,
  Fastest,
  LastKnown,
  Match,
  MatchWhen,
  RefusedStep,
  ReplyStep,
  RouteChoice,
  RouteContext,
  RouteHealth,
  RouteLeaf,
  RouteLeases,
  RouteNode,
  RouteRun,
  Shadow,
  Split,
  SplitArm,
  Step,
  VersionLeaf,
  VersionSelector,
} from './types.js'
