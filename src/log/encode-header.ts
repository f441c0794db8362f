// One record's header as JSON text, by hand: it runs once per request (DESIGN, performance rules).
// The order of the first fields is part of the stored format: retention and explain read `seq`, `kind`, `timeMs` and
// `endpoint` from a line's first bytes without parsing the rest. `payload`, when there is one, comes last.
import { milliseconds, numberText, type QuotedNames, quote, quoteOrNull } from './json-text.js'
import type { LogPosition, LogRecord, RecordedCall } from './types.js'

/** The line of `record` without its payload and without the closing brace. */
export function encodeHeader(seq: LogPosition, record: LogRecord, names: QuotedNames): string {
  switch (record.kind) {
    case 'prediction': {
      const { route, calls, flags, stages } = record
      let routeText = ''
      for (let i = 0; i < route.length; i++) {
        const step = route[i]!
        const arm = `{"node":${names.get(step.node)},"arm":${names.get(step.arm)},"probability":${numberText(step.probability)}}`
        routeText = i === 0 ? arm : `${routeText},${arm}`
      }
      let callsText = ''
      for (let i = 0; i < calls.length; i++) {
        const call = encodeCall(calls[i]!, names)
        callsText = i === 0 ? call : `${callsText},${call}`
      }
      let flagsText = ''
      for (let i = 0; i < flags.length; i++) {
        flagsText = i === 0 ? names.get(flags[i]!) : `${flagsText},${names.get(flags[i]!)}`
      }
      return `${start(seq, record, names)},"endpoint":${names.get(record.endpoint)},"tenant":${names.get(record.tenant)},"id":${quote(record.id)},"unit":${quoteOrNull(record.unit)},"rows":${numberText(record.rows)},"protocol":${names.get(record.protocol)},"route":[${routeText}],"calls":[${callsText}],"flags":[${flagsText}],"stages":{"admit":${milliseconds(stages.admit)},"features":${milliseconds(stages.features)},"route":${milliseconds(stages.route)},"shape":${milliseconds(stages.shape)}},"cost":${record.cost === null ? 'null' : numberText(record.cost)},"traceId":${quoteOrNull(record.traceId)},"error":${record.error === null ? 'null' : names.get(record.error)}${record.answeredBy === undefined ? '' : `,"answeredBy":${record.answeredBy}`}`
    }
    case 'call':
      return `${start(seq, record, names)},"endpoint":${names.get(record.endpoint)},"tenant":${names.get(record.tenant)},"id":${quote(record.id)},"prediction":${quote(record.prediction)},"call":${encodeCall(record.call, names)}`
    case 'outcome': {
      const { value } = record
      const valueText =
        typeof value === 'string' ? quote(value) : typeof value === 'number' ? numberText(value) : String(value)
      return `${start(seq, record, names)},"endpoint":${names.get(record.endpoint)},"tenant":${names.get(record.tenant)},"id":${quote(record.id)},"prediction":${quote(record.prediction)},"name":${names.get(record.name)},"value":${valueText},"happenedMs":${numberText(record.happenedMs)},"knownMs":${numberText(record.knownMs)}`
    }
    case 'decision':
      return `${start(seq, record, names)},"id":${quote(record.id)},"change":${names.get(record.change)},"subject":${quote(record.subject)},"by":${quote(record.by)}`
    default:
      return record satisfies never
  }
}

function start(seq: LogPosition, record: LogRecord, names: QuotedNames): string {
  return `{"seq":${seq},"kind":${names.get(record.kind)},"timeMs":${numberText(record.timeMs)}`
}

function encodeCall(call: RecordedCall, names: QuotedNames): string {
  return `{"leaf":${names.get(call.leaf)},"model":${names.get(call.model)},"version":${numberText(call.version)},"role":${names.get(call.role)},"status":${names.get(call.status)},"latencyMs":${milliseconds(call.latencyMs)},"queueMs":${milliseconds(call.queueMs)},"batchRows":${numberText(call.batchRows)}${call.cached === undefined ? '' : `,"cached":${names.get(call.cached)}`}}`
}
