// Who calls. Runs for every request: whoever was let in before is found by the header itself, in one lookup. Only what was let in is
// remembered, so a million wrong keys take no memory.
import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock, Counter, Logger, Metrics, Platform } from '../core/index.js'
import { AccessErrors } from './errors.js'
import type { TokenIssuers } from './jwt/issuers.js'
import { digestOf, keyIdOf, secretIdOf } from './key-text.js'
import { defaultPredicts, grantsOf, type StoredKey, whyUnusable } from './keys.js'
import { ANONYMOUS, checkAllowed } from './permissions.js'
import type { Access, Caller, Credentials, Meter, Need } from './types.js'

export interface AccessOptions {
  readonly platform: Pick<Platform, 'clock' | 'logger' | 'metrics'>
  /** Under which keys are stored. */
  readonly secret: Uint8Array
  /** Undefined where no issuer is configured. */
  readonly issuers?: TokenIssuers | undefined
  /** What limits and counts a caller. */
  meterOf?(caller: Pick<Caller, 'id' | 'tenant'>, key: StoredKey | undefined): Meter
}

export interface KeyedAccess extends Access {
  /** The keys as they are now; whoever was remembered is looked at again. */
  replace(keys: readonly StoredKey[]): void
  /** What the owner of this process may send in place of a key: who has the data folder has everything. */
  readonly ownerKey: string
}

interface Known {
  readonly caller: Caller
  /** Wall time from when on it has to be looked at again. */
  readonly untilMs: number
}

/** Tokens that are remembered; keys are as many as there are. */
const MAX_TOKENS = 10_000
const MAX_CREDENTIAL_CHARACTERS = 8192
const NO_DIGEST = Buffer.alloc(32)

export function createAccess(options: AccessOptions): KeyedAccess {
  return new KeyedCallers(options)
}

class KeyedCallers implements KeyedAccess {
  isOpen = true
  readonly ownerKey = `owner_${randomBytes(24).toString('base64url')}`
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #secret: Uint8Array
  readonly #secretId: string
  readonly #issuers: TokenIssuers | undefined
  readonly #meterOf: AccessOptions['meterOf']
  readonly #refused: (code: string) => Counter
  #keys = new Map<string, StoredKey>()
  /** By the whole header, of keys and of tokens. What a lookup takes says nothing about them: its hash is seeded for each process. */
  #knownKeys = new Map<string, Known>()
  readonly #knownTokens = new Map<string, Known>()

  constructor({ platform, secret, issuers, meterOf }: AccessOptions) {
    this.#clock = platform.clock
    this.#logger = platform.logger
    this.#secret = secret
    this.#secretId = secretIdOf(secret)
    this.#issuers = issuers
    this.#meterOf = meterOf
    this.#refused = refusals(platform.metrics)
    this.isOpen = issuers === undefined
  }

  replace(keys: readonly StoredKey[]): void {
    const foreign = keys.find(({ secretId, revokedMs }) => secretId !== this.#secretId && revokedMs === null)
    if (foreign !== undefined && !this.#keys.has(foreign.id)) {
      const error = AccessErrors.SECRET_DIFFERS({ name: foreign.name })
      this.#logger.error({ code: error.code }, error.message)
    }
    this.#keys = new Map(keys.map((key) => [key.id, key]))
    this.#knownKeys = new Map()
    // Revoked ones are still keys: a server that had one is never open again.
    this.isOpen = keys.length === 0 && this.#issuers === undefined
  }

  authenticate(credentials: Credentials): Caller | Promise<Caller> {
    if (this.isOpen) return ANONYMOUS
    const { authorization } = credentials
    if (authorization !== undefined && credentials['x-api-key'] === undefined) {
      const known = this.#knownKeys.get(authorization) ?? this.#knownTokens.get(authorization)
      if (known !== undefined && known.untilMs > this.#clock.nowMs()) return known.caller
    }
    try {
      return this.#find(credentials)
    } catch (error) {
      this.#refused((error as { readonly code?: string }).code ?? 'unknown').inc()
      throw error
    }
  }

  check(caller: Caller, need: Need, name?: string): void {
    checkAllowed(caller, need, name)
  }

  #find(credentials: Credentials): Caller | Promise<Caller> {
    const text = tokenOf(credentials)
    // The same key in another header.
    const known = this.#knownKeys.get(`Bearer ${text}`)
    if (known !== undefined && known.untilMs > this.#clock.nowMs()) return known.caller
    if (text.startsWith('hr_')) return this.#ofKey(text)
    if (isSame(text, this.ownerKey)) return ANONYMOUS
    if (this.#issuers === undefined) throw AccessErrors.KEY_INVALID()
    return this.#ofToken(text, this.#issuers)
  }

  #ofKey(text: string): Caller {
    const id = keyIdOf(text)
    const key = id === undefined ? undefined : this.#keys.get(id)
    // The same work whether there is such a key or not.
    const isRight = timingSafeEqual(digestOf(text, this.#secret), key ? Buffer.from(key.digest, 'hex') : NO_DIGEST)
    if (key === undefined) throw AccessErrors.KEY_INVALID()
    if (!isRight)
      throw key.secretId === this.#secretId
        ? AccessErrors.KEY_INVALID()
        : AccessErrors.SECRET_DIFFERS({ name: key.name })
    const why = whyUnusable(key, this.#clock.nowMs())
    if (why === 'expired')
      throw AccessErrors.KEY_EXPIRED({ name: key.name, expired: new Date(key.expiresMs!).toISOString() })
    if (why === 'revoked') throw AccessErrors.KEY_REVOKED({ name: key.name })
    const { id: callerId, name, tenant, predicts, role, on } = key
    const caller: Caller = {
      id: callerId,
      name,
      kind: 'key',
      tenant,
      grants: grantsOf(key),
      predicts: predicts.length > 0 ? predicts : defaultPredicts(role, on),
      meter: this.#meterOf?.({ id: callerId, tenant }, key),
    }
    this.#knownKeys.set(`Bearer ${text}`, { caller, untilMs: key.expiresMs ?? Number.POSITIVE_INFINITY })
    return caller
  }

  async #ofToken(text: string, issuers: TokenIssuers): Promise<Caller> {
    const header = `Bearer ${text}`
    try {
      const { untilMs, ...identity } = await issuers.verify(text)
      const caller: Caller = { ...identity, kind: 'jwt', meter: this.#meterOf?.(identity, undefined) }
      if (this.#knownTokens.size >= MAX_TOKENS) {
        const [oldest] = this.#knownTokens.keys()
        this.#knownTokens.delete(oldest!)
      }
      this.#knownTokens.set(header, { caller, untilMs })
      return caller
    } catch (error) {
      this.#knownTokens.delete(header)
      this.#refused((error as { readonly code?: string }).code ?? 'unknown').inc()
      throw error
    }
  }
}

/** What stands for the caller in its headers. Throws ACCESS_CREDENTIALS_MISSING and ACCESS_CREDENTIALS_MALFORMED. */
function tokenOf({ authorization, 'x-api-key': apiKey }: Credentials): string {
  if (apiKey !== undefined) {
    if (typeof apiKey !== 'string')
      throw AccessErrors.CREDENTIALS_MALFORMED({ problem: 'x-api-key came several times' })
    const key = apiKey.trim()
    checkLength(key)
    if (authorization !== undefined && tokenIn(authorization) !== key)
      throw AccessErrors.CREDENTIALS_MALFORMED({ problem: 'authorization and x-api-key say different things' })
    return key
  }
  if (authorization === undefined) throw AccessErrors.CREDENTIALS_MISSING()
  return tokenIn(authorization)
}

function tokenIn(authorization: string): string {
  checkLength(authorization)
  const space = authorization.indexOf(' ')
  const scheme = authorization.slice(0, Math.max(0, space)).toLowerCase()
  const rest = authorization.slice(space + 1).trim()
  if (space > 0 && rest !== '' && !/[\s,]/.test(rest)) {
    if (scheme === 'bearer') return rest
    if (scheme === 'basic') return passwordIn(rest)
  }
  const problem =
    scheme === 'bearer' || scheme === 'basic'
      ? 'after the scheme of "authorization" there is not exactly one word'
      : 'the scheme of "authorization" is neither Bearer nor Basic'
  throw AccessErrors.CREDENTIALS_MALFORMED({ problem })
}

/** The user's name says nothing: a key has one of its own. */
function passwordIn(encoded: string): string {
  const text = /^[A-Za-z0-9+/_-]*={0,2}$/.test(encoded) ? Buffer.from(encoded, 'base64').toString('utf8') : ''
  const colon = text.indexOf(':')
  if (colon < 0) throw AccessErrors.CREDENTIALS_MALFORMED({ problem: 'basic authentication without a password' })
  return text.slice(colon + 1)
}

function checkLength(text: string): void {
  if (text.length > MAX_CREDENTIAL_CHARACTERS)
    throw AccessErrors.CREDENTIALS_MALFORMED({
      problem: `they have ${text.length} characters, and the most is ${MAX_CREDENTIAL_CHARACTERS}`,
    })
}

function isSame(text: string, expected: string): boolean {
  const given = Buffer.from(text)
  const right = Buffer.from(expected)
  return given.length === right.length && timingSafeEqual(given, right)
}

function refusals(metrics: Metrics): (code: string) => Counter {
  const family = metrics.counter({
    name: 'headrace_access_refused_total',
    help: 'Requests whose credentials were refused, by error code.',
    labels: ['code'],
  })
  return (code) => family.with(code)
}
