// The shapes of releases in the API. A test compares what the server answers with them.
import Type from 'typebox'
import { mapOf, orNull, VersionNumber } from './schemas.js'

const Step = Type.Object({
  kind: Type.Enum(['shadow', 'canary']),
  sample: Type.Optional(Type.Number({ description: 'Of a shadow: share of requests copied' })),
  weight: Type.Optional(Type.Number({ description: 'Of a canary: share of units, 0.001 to 1' })),
  maySkip: Type.Optional(Type.Boolean({ description: 'Of a shadow: ends early when no difference is found' })),
  length: Type.Object({ durationMs: Type.Optional(Type.Number()), units: Type.Optional(Type.Integer()) }),
})

export const PlanView = Type.Object({
  name: Type.Optional(Type.String({ examples: ['standard'] })),
  text: Type.String({ examples: ['shadow:1d,canary:5%/7d,100%'] }),
  steps: Type.Array(Step),
})

const Actor = Type.Object({ kind: Type.Enum(['person', 'rule', 'system']), name: Type.String() })

export const ReleaseView = Type.Object({
  id: Type.String(),
  endpoint: Type.String(),
  model: Type.String(),
  from: VersionNumber,
  to: VersionNumber,
  selector: Type.String({ description: 'JSON of the selector that completion moves' }),
  plan: PlanView,
  state: Type.Enum(['running', 'paused', 'completed', 'aborted', 'rolled-back']),
  step: Type.Integer({ description: 'Index into plan.steps' }),
  revision: Type.Integer({ description: 'Grows with every change' }),
  stepElapsedMs: Type.Number({ description: 'Time of the present step, as the leader counted it' }),
  startedMs: Type.Number(),
  endedMs: orNull('number'),
  startedBy: Actor,
  reason: orNull('string', { description: 'Why it ended or pauses' }),
})

const GuardReport = Type.Object({
  guard: Type.String({ examples: ['errors'] }),
  verdict: Type.Enum(['failed', 'passed', 'inconclusive']),
  eValue: Type.Number({ description: 'Evidence against the candidate, valid at every look; fails at 1 / alpha' }),
  alpha: Type.Number(),
  candidate: Type.Number({ description: 'Units of the candidate with an event' }),
  reference: Type.Number(),
  relative: Type.Union([
    Type.Object({ estimate: Type.Number(), low: Type.Number(), high: Type.Number() }),
    Type.Null(),
  ]),
  summary: Type.String(),
})

const GuardPoint = Type.Object({
  timeMs: Type.Number(),
  step: Type.Integer(),
  estimate: orNull('number'),
  low: orNull('number'),
  high: orNull('number'),
  eValue: Type.Number(),
  candidate: Type.Number(),
  reference: Type.Number(),
})

export const ReleaseStatusView = Type.Object({
  isReduced: Type.Boolean({
    description:
      'The caller belongs to a tenant: counts, guards, the shadow report, decisions and reasons are left out',
  }),
  release: ReleaseView,
  weight: Type.Number({ description: 'Share of units that the candidate should have now' }),
  timeScale: Type.Number({
    description: 'Above 1: the time of this release runs faster than clocks, for a demonstration',
  }),
  progress: Type.Object({
    units: orNull('number', { description: 'Distinct units of the candidate in this step; null when reduced' }),
    controlUnits: orNull('number'),
    unitsNeeded: Type.Number(),
    elapsedMs: Type.Number(),
    durationMs: orNull('number'),
    summary: Type.String(),
  }),
  guards: Type.Array(Type.Object({ report: GuardReport, series: Type.Array(GuardPoint) })),
  shadow: Type.Union([mapOf(Type.Unknown(), 'The comparison of the shadow step'), Type.Null()]),
  events: Type.Array(
    Type.Object({
      decision: Type.String({ description: 'Id of the decision' }),
      timeMs: Type.Number(),
      kind: Type.String({ examples: ['release.step'] }),
      by: Actor,
      summary: Type.String(),
      evidence: mapOf(Type.Unknown()),
    }),
  ),
  nodes: Type.Array(
    Type.Object({
      node: Type.String(),
      revision: orNull('integer', { description: 'The revision it applied' }),
      isWarm: Type.Boolean(),
      holdsLease: Type.Boolean(),
      weight: Type.Number({ description: 'Share of units that the candidate has there' }),
      reason: orNull('string'),
      ageMs: Type.Number(),
    }),
  ),
})
