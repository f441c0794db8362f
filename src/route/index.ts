// Floor 2. The route tree: which version answers a request. Leaves are versions, inner nodes decide.
// The interpreter is a pure state machine; the path carries out its steps.
// Releases, experiments and failover are edits of a tree, and every choice is recorded with its probability.
export { armAt, assignmentPoint } from './assignment.js'
export { routeSchema, split, version } from './config.js'
export { RouteErrors } from './errors.js'
export { type CompiledRoute, compileRoute } from './interpreter.js'
export type {
  CallEvent,
  CallRole,
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
  RouteChoice,
  RouteContext,
  RouteHealth,
  RouteLeaf,
  RouteNode,
  RouteRun,
  Shadow,
  Split,
  Step,
  VersionLeaf,
  VersionSelector,
} from './types.js'
