// Who predicts, whether it may, and whether it may now: at once for callers that were here before.
import type { Caller, Credentials } from '../../access/index.js'
import type { ServerContext } from '../context.js'

/** Throws or rejects with what Access.authenticate does, ACCESS_PREDICT_MISSING and ACCESS_RATE_LIMITED. */
export function admitCaller(
  context: ServerContext,
  credentials: Credentials,
  endpoint: string,
): Caller | Promise<Caller> {
  const caller = context.app.access.authenticate(credentials)
  if (caller instanceof Promise) return caller.then((known) => admit(context, known, endpoint))
  return admit(context, caller, endpoint)
}

function admit({ app }: ServerContext, caller: Caller, endpoint: string): Caller | Promise<Caller> {
  app.access.check(caller, 'predict', endpoint)
  const waiting = caller.meter?.admitRequest()
  return waiting instanceof Promise ? waiting.then(() => caller) : caller
}
