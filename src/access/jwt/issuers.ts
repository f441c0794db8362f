// Tokens of other issuers: verified against their public keys, and read as callers.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'
import type { Platform } from '../../core/index.js'
import type { AccessConfig, IssuerConfig } from '../config.js'
import { AccessErrors } from '../errors.js'
import { DEFAULT_TENANT } from '../permissions.js'
import { type Caller, type Grant, ROLES, type Role } from '../types.js'
import { type KeySet, remoteKeySet, staticKeySet } from './key-set.js'

export interface TokenIdentity extends Pick<Caller, 'id' | 'name' | 'tenant' | 'grants' | 'predicts'> {
  /** Wall time from when on the token is worth nothing. */
  readonly untilMs: number
}

export interface TokenIssuers {
  /** Rejects with ACCESS_TOKEN_INVALID and ACCESS_ISSUER_DOWN. */
  verify(token: string): Promise<TokenIdentity>
  close(): void
}

interface Issuer {
  readonly config: IssuerConfig
  readonly keys: KeySet
}

/** Undefined where none is configured. Rejects when a file of public keys cannot be read. */
export async function createIssuers(
  { jwt, clockToleranceSeconds }: AccessConfig,
  platform: Pick<Platform, 'clock' | 'logger'>,
  root: string,
): Promise<TokenIssuers | undefined> {
  if (jwt.length === 0) return undefined
  const issuers = await Promise.all(
    jwt.map(async (config) => ({ config, keys: await keySetOf(config, platform, root) })),
  )
  return {
    async verify(token) {
      const claimed = issuerIn(token)
      const mine = issuers.filter(({ config }) => config.issuer === claimed)
      if (mine.length === 0) throw AccessErrors.TOKEN_INVALID({ problem: 'its issuer is none that is configured' })
      let failure: unknown
      // One issuer may be configured for several audiences.
      for (const issuer of mine) {
        try {
          return await verifyBy(issuer, token)
        } catch (error) {
          failure = error
        }
      }
      throw failure
    },
    close() {
      for (const { keys } of issuers) keys.close()
    },
  }

  async function verifyBy({ config, keys }: Issuer, token: string): Promise<TokenIdentity> {
    const { issuer, audience, algorithms } = config
    try {
      const { payload } = await jwtVerify(token, keys.find, {
        issuer,
        audience: audience as string | string[],
        algorithms: [...algorithms],
        clockTolerance: clockToleranceSeconds,
        currentDate: new Date(platform.clock.nowMs()),
        // One that never ends could not be forgotten.
        requiredClaims: ['exp', 'sub'],
      })
      return identityOf(payload, config, clockToleranceSeconds)
    } catch (error) {
      if (error instanceof errors.JOSEError) throw AccessErrors.TOKEN_INVALID({ problem: problemOf(error) }, error)
      throw error
    }
  }
}

async function keySetOf(
  config: IssuerConfig,
  platform: Pick<Platform, 'clock' | 'logger'>,
  root: string,
): Promise<KeySet> {
  if (config.jwksUrl !== undefined) return remoteKeySet(config.jwksUrl, platform)
  const file = path.resolve(root, config.jwksFile!)
  try {
    return staticKeySet(JSON.parse(await readFile(file, 'utf8')))
  } catch (error) {
    throw AccessErrors.KEY_SET_UNREADABLE({ from: config.jwksFile!, problem: (error as Error).message }, error)
  }
}

/** Not verified yet: only to know whose keys to verify it with. */
function issuerIn(token: string): string | undefined {
  try {
    return decodeJwt(token).iss
  } catch (error) {
    throw AccessErrors.TOKEN_INVALID({ problem: 'it is no signed JSON Web Token' }, error)
  }
}

/** In our words, because jose's name claims and values of the token. */
function problemOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'it has expired'
  if (error instanceof errors.JWTClaimValidationFailed)
    return `its claim "${error.claim}" is missing or not what it must be`
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not one of those that are accepted'
  if (error instanceof errors.JWKSNoMatchingKey) return 'it is signed with a key that its issuer does not publish'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is wrong'
  return 'it is not well-formed'
}

function identityOf(
  payload: JWTPayload,
  { claims, roleMap, issuer }: IssuerConfig,
  toleranceSeconds: number,
): TokenIdentity {
  const name = claimIn(payload, claims.name)
  if (typeof name !== 'string' || !/^[^\p{Control}\p{Surrogate}]{1,256}$/u.test(name))
    throw AccessErrors.TOKEN_INVALID({ problem: `its claim "${claims.name}" is no name` })
  // Cut off, two of them could be one caller.
  if (typeof payload.sub !== 'string' || payload.sub === '' || payload.sub.length > 256)
    throw AccessErrors.TOKEN_INVALID({ problem: 'its claim "sub" is not 1 to 256 characters' })
  const tenant = claims.tenant === undefined ? DEFAULT_TENANT : claimIn(payload, claims.tenant)
  if (typeof tenant !== 'string' || !isTenant(tenant))
    throw AccessErrors.TOKEN_INVALID({ problem: `its claim "${claims.tenant}" is no tenant` })
  const grants: Grant[] = []
  const predicts: string[] = []
  for (const role of rolesIn(claimIn(payload, claims.roles)))
    for (const meaning of meaningsOf(role, roleMap)) {
      const [what, on] = meaning.split(':') as [Role | 'predict', string?]
      const names = on?.split(',')
      if (what === 'predict') predicts.push(...(names ?? []))
      else {
        grants.push(names === undefined ? { role: what } : { role: what, on: names })
        if (what !== 'viewer') predicts.push(...(names ?? ['*']))
      }
    }
  return {
    id: `${issuer}#${payload.sub}`,
    name,
    tenant,
    grants,
    predicts,
    untilMs: (payload.exp! + toleranceSeconds) * 1000,
  }
}

export function isTenant(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text)
}

function claimIn(payload: JWTPayload, name: string): unknown {
  // Names of claims are often URLs, with dots of their own.
  if (Object.hasOwn(payload, name)) return payload[name]
  let value: unknown = payload
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string, unknown>)[part]
  }
  return value
}

function rolesIn(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(/\s+/).filter(Boolean)
  return Array.isArray(claim) ? claim.filter((role) => typeof role === 'string') : []
}

function meaningsOf(role: string, roleMap: IssuerConfig['roleMap']): readonly string[] {
  if (roleMap === undefined) return ROLES.includes(role as Role) ? [role] : []
  if (!Object.hasOwn(roleMap, role)) return []
  const meaning = roleMap[role]!
  return typeof meaning === 'string' ? [meaning] : meaning
}
