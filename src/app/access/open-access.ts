// Keys, and the limits that callers share, in the process that owns the data folder.
import {
  AccessErrors,
  addUsage,
  createSharedLedger,
  createSqlLedger,
  defaultPredicts,
  digestOf,
  type Fingerprint,
  isTenant,
  loadKeySecret,
  newKey,
  RateBuckets,
  ROLES,
  readUsage,
  SharedRates,
  type StoredKey,
  secretIdOf,
  whyUnusable,
  withLocalShare,
} from '../../access/index.js'
import type { Actor } from '../../decisions/index.js'
import { createRedisKeyValue } from '../../store/index.js'
import type { ServiceContext } from '../service-context.js'
import type { AccessService, KeyRequest, KeyView } from './service.js'

/** How long a prediction waits for its quota; then the node gives out a share of its own. A metadata store may have much to do. */
const REDIS_ANSWER_LIMIT_MS = 500
const SQL_ANSWER_LIMIT_MS = 5000

export async function openAccess(context: ServiceContext, pending: Map<string, Fingerprint>): Promise<AccessService> {
  const { project, platform, sql, registry, decide } = context
  const { clock, logger } = platform
  const { redisUrl } = project.config.store
  const secret = await loadKeySecret(project.dataDir, process.env['HEADRACE_KEY_SECRET'])
  const secretId = secretIdOf(secret)
  const foreign = registry().keys.find(
    (key) => key.secretId !== secretId && whyUnusable(key, clock.nowMs()) === undefined,
  )
  if (foreign !== undefined) throw AccessErrors.SECRET_DIFFERS({ name: foreign.name })
  const redis = redisUrl === undefined ? undefined : await createRedisKeyValue({ ...platform, url: redisUrl })
  if (redis !== undefined) context.onClose(() => redis.close())
  const ledger = withLocalShare(redis === undefined ? createSqlLedger(sql) : createSharedLedger(redis), {
    clock,
    logger,
    answerLimitMs: redis === undefined ? SQL_ANSWER_LIMIT_MS : REDIS_ANSWER_LIMIT_MS,
  })
  const buckets = new RateBuckets(clock)
  const countNodes = async () => (await context.services.nodes.list()).filter(({ isGone }) => !isGone).length || 1
  const rates =
    redis === undefined ? buckets : new SharedRates({ store: redis, local: buckets, clock, logger, countNodes })

  function view(key: StoredKey): KeyView {
    const { digest: _, secretId: __, predicts, ...seen } = key
    const predict = predicts.length > 0 ? predicts : defaultPredicts(key.role, key.on)
    return { ...seen, predict, state: whyUnusable(key, clock.nowMs()) ?? 'active' }
  }

  /** By its id, or by its name the one that is in use, or was last. */
  function find(nameOrId: string): StoredKey {
    const { keys } = registry()
    const nowMs = clock.nowMs()
    const named = keys.filter(({ name }) => name === nameOrId)
    const key =
      keys.find(({ id }) => id === nameOrId) ??
      named.findLast((candidate) => whyUnusable(candidate, nowMs) === undefined) ??
      named.at(-1)
    if (key === undefined) throw AccessErrors.KEY_NOT_FOUND({ key: nameOrId.slice(0, 128) })
    return key
  }

  async function make(
    request: KeyRequest,
    by: Actor,
    isFirst: boolean,
    replaced?: { readonly id: string; readonly untilMs: number },
  ) {
    check(request, clock.nowMs())
    const { id, text } = newKey()
    pending.set(id, { digest: digestOf(text, secret).toString('hex'), secretId, isFirst })
    try {
      const detail = {
        id,
        name: request.name.normalize('NFC'),
        role: request.role ?? null,
        on: request.on === undefined ? null : request.on.join(','),
        predict: (request.predict ?? []).join(','),
        tenant: request.tenant ?? 'default',
        ratePerSecond: request.ratePerSecond ?? null,
        burst: request.burst ?? null,
        quotaPerDay: request.quotaPerDay ?? null,
        createdMs: clock.nowMs(),
        expiresMs: request.expiresMs ?? null,
        replaces: replaced?.id ?? null,
        replacedUntilMs: replaced?.untilMs ?? null,
      }
      const decision = await decide({ kind: 'key.create', subject: id, detail }, {}, by)
      return { key: view(find(id)), secret: text, decision: decision.id }
    } finally {
      pending.delete(id)
    }
  }

  return {
    create: (request, by, isFirst = false) => make(request, by, isFirst),
    rotate(nameOrId, graceMs, by) {
      const old = find(nameOrId)
      const request: KeyRequest = {
        name: old.name,
        role: old.role ?? undefined,
        on: old.on ?? undefined,
        predict: old.predicts,
        tenant: old.tenant,
        expiresMs: old.expiresMs === null ? undefined : clock.nowMs() + (old.expiresMs - old.createdMs),
        ratePerSecond: old.ratePerSecond ?? undefined,
        burst: old.burst ?? undefined,
        quotaPerDay: old.quotaPerDay ?? undefined,
      }
      return make(request, by, false, { id: old.id, untilMs: clock.nowMs() + graceMs })
    },
    async revoke(nameOrId, reason, by) {
      const { id, name } = find(nameOrId)
      const detail = { id, name, revokedMs: clock.nowMs() }
      return decide({ kind: 'key.revoke', subject: id, detail }, reason === undefined ? {} : { reason }, by)
    },
    list: async () => registry().keys.map(view),
    get: async (nameOrId) => view(find(nameOrId)),
    usage: (query) => readUsage(sql, query.caller === undefined ? query : { ...query, caller: callerId(query.caller) }),
    reserveRows: (wanted) => ledger.reserve(wanted),
    giveBackRows: (key, day, rows) => ledger.add(key, day, -rows),
    takeRequests: async (wanted) => rates.take(wanted),
    count: (counts) => addUsage(sql, counts),
  }

  /** Callers with tokens have no key; names of keys may look like them. */
  function callerId(nameOrId: string): string {
    const isKey = registry().keys.some(({ id, name }) => id === nameOrId || name === nameOrId)
    return nameOrId.includes('#') && !isKey ? nameOrId : find(nameOrId).id
  }
}

/** Throws ACCESS_REQUEST_INVALID. */
function check(request: KeyRequest, nowMs: number): void {
  const { name, role, on, predict, tenant, expiresMs, ratePerSecond, burst, quotaPerDay } = request
  const refuse = (field: string, problem: string): never => {
    throw AccessErrors.REQUEST_INVALID({ field, problem })
  }
  if (!/^[^\p{Control}\p{Surrogate},\s](?:[^\p{Control}\p{Surrogate}]{0,62}\S)?$/u.test(name))
    refuse('its name', 'must be 1 to 64 printable characters without spaces around them')
  if (/^[0-9a-f]{12}$/.test(name)) refuse('its name', 'looks like the id of a key')
  if (role !== undefined && !ROLES.includes(role)) refuse('its role', `must be one of ${ROLES.join(', ')}`)
  if (role === undefined && (predict ?? []).length === 0) refuse('it', 'needs a role, or endpoints to predict with')
  if (on !== undefined && role === undefined) refuse('"on"', 'says what a role holds for, and there is no role')
  for (const [field, patterns] of [
    ['"on"', on],
    ['"predict"', predict],
  ] as const) {
    if (field === '"on"' && patterns?.length === 0) refuse(field, 'names nothing')
    for (const pattern of patterns ?? [])
      if (!/^(?:\*|[^\p{Control}\p{Surrogate},*\s][^\p{Control}\p{Surrogate},*]{0,127}\*?)$/u.test(pattern))
        refuse(field, `must hold names, with at most a * at the end, and holds "${pattern.slice(0, 64)}"`)
  }
  if (tenant !== undefined && !isTenant(tenant))
    refuse('its tenant', 'must be letters, digits, ".", "_" or "-", at most 64')
  if (expiresMs !== undefined && !(Number.isSafeInteger(expiresMs) && expiresMs > nowMs))
    refuse('the time it expires', 'must be in the future')
  if (ratePerSecond !== undefined && !(ratePerSecond > 0 && ratePerSecond <= 1e9))
    refuse('its rate', 'must be above 0 requests per second')
  if (burst !== undefined && (ratePerSecond === undefined || !(burst >= 1 && burst <= 1e9)))
    refuse('its burst', 'must be at least 1, beside a rate')
  if (quotaPerDay !== undefined && !(Number.isSafeInteger(quotaPerDay) && quotaPerDay > 0))
    refuse('its quota', 'must be a whole number of rows above 0')
}
