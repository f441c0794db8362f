// Tokens against a key server on loopback that changes its keys, goes down and is attacked with the known confusions.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { ManualClock, testPlatform } from '../../core/index.js'
import { accessSection } from '../config.js'
import { createIssuers, type TokenIssuers } from './issuers.js'

const NOW_MS = Date.parse('2026-11-22T12:00:00Z')

type Pair = Awaited<ReturnType<typeof generateKeyPair>>

interface Signer {
  readonly kid: string
  readonly jwk: JWK
  readonly privateKey: Pair['privateKey']
  readonly publicKey: Pair['publicKey']
}

async function signer(kid: string, alg = 'RS256'): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg } }
}

const first = await signer('first')
const second = await signer('second')

let clock: ManualClock
let published: Signer[]
let fetches: number
let keyServer: Server
let url: string

beforeEach(async () => {
  clock = new ManualClock(NOW_MS)
  published = [first]
  fetches = 0
  keyServer = createServer((_request, response) => {
    fetches++
    response.end(JSON.stringify({ keys: published.map(({ jwk }) => jwk) }))
  })
  await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}/keys`
  onTestFinished(() => void keyServer.close())
})

async function issuers(more: object = {}): Promise<TokenIssuers> {
  const config = accessSection.parse({
    jwt: [{ issuer: 'https://id.example', audience: 'headrace', jwksUrl: url, ...more }],
  })
  const opened = (await createIssuers(config, testPlatform({ clock }), '.'))!
  onTestFinished(() => opened.close())
  return opened
}

interface TokenParts {
  readonly claims?: Record<string, unknown>
  readonly by?: Signer
  readonly issuer?: string
  readonly audience?: string | string[]
  readonly subject?: string
  readonly lifeSeconds?: number
}

function token({
  claims = {},
  by = first,
  issuer,
  audience,
  subject,
  lifeSeconds = 60,
}: TokenParts = {}): Promise<string> {
  return new SignJWT({ roles: ['developer'], ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: by.kid })
    .setSubject(subject ?? 'u-17')
    .setIssuer(issuer ?? 'https://id.example')
    .setAudience(audience ?? 'headrace')
    .setExpirationTime(NOW_MS / 1000 + lifeSeconds)
    .sign(by.privateKey)
}

const refused = (problem: RegExp) => ({
  code: 'ACCESS_TOKEN_INVALID',
  status: 401,
  message: expect.stringMatching(problem),
})

describe('a token', () => {
  it('is read as a caller with the name, tenant and roles of its claims', async () => {
    const { verify } = await issuers({
      claims: { name: 'https://id.example/mail', roles: 'realm.roles', tenant: 'org' },
      roleMap: { ml: ['approver:fraud*,churn', 'viewer'], app: 'predict:shop-*', other: 'admin' },
    })
    const claims = {
      'https://id.example/mail': 'ánna@example.com',
      org: 'acme',
      realm: { roles: ['ml', 'app', 'none'] },
    }
    expect(await verify(await token({ claims }))).toEqual({
      id: 'https://id.example#u-17',
      name: 'ánna@example.com',
      tenant: 'acme',
      grants: [{ role: 'approver', on: ['fraud*', 'churn'] }, { role: 'viewer' }],
      predicts: ['fraud*', 'churn', 'shop-*'],
      untilMs: NOW_MS + 60_000 + 30_000,
    })
  })

  it('gives roles of our names as they are without a map, and no others', async () => {
    const { verify } = await issuers()
    const { grants } = await verify(await token({ claims: { roles: 'viewer root constructor' } }))
    expect(grants).toEqual([{ role: 'viewer' }])
  })

  it.each<[string, TokenParts, RegExp]>([
    ['is over, beyond the tolerance of clocks', { lifeSeconds: -31 }, /expired/],
    ['is of another issuer', { issuer: 'https://other.example' }, /issuer/],
    ['is for another audience', { audience: 'somebody-else' }, /"aud"/],
    ['is for others, however many', { audience: ['a', 'headrace2', 'HEADRACE'] }, /"aud"/],
    ['names a key by a path', { by: { ...first, kid: '../../../dev/null' } }, /does not publish/],
    ['is of a caller too long to be told from others', { subject: 'u'.repeat(257) }, /"sub"/],
    ['is of nobody', { subject: '' }, /"sub"/],
    ['is not valid yet', { claims: { nbf: NOW_MS / 1000 + 31 } }, /"nbf"/],
    ['names a key that is not published', { by: second }, /does not publish/],
    ['has no tenant where one is asked for', { claims: { tenant: undefined } }, /"tenant"/],
  ])('is refused when it %s', async (_, parts, problem) => {
    const { verify } = await issuers({ claims: { tenant: 'tenant' } })
    await expect(verify(await token({ ...parts, claims: { tenant: 'acme', ...parts.claims } }))).rejects.toMatchObject(
      refused(problem),
    )
  })

  it('is taken when one of its audiences is this server', async () => {
    const { verify } = await issuers()
    expect((await verify(await token({ audience: ['a', 'headrace'] }))).name).toBe('u-17')
  })

  it('is taken within the tolerance of clocks', async () => {
    const { verify } = await issuers()
    await expect(verify(await token({ lifeSeconds: -29 }))).resolves.toBeDefined()
    await expect(verify(await token({ claims: { nbf: NOW_MS / 1000 + 29 } }))).resolves.toBeDefined()
  })

  it('is refused without a signature, and when it is signed with the public key as a shared secret', async () => {
    const { verify } = await issuers()
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
    const claims = { iss: 'https://id.example', aud: 'headrace', sub: 'u', exp: NOW_MS / 1000 + 60, roles: ['admin'] }
    await expect(verify(`${encode({ alg: 'none' })}.${encode(claims)}.`)).rejects.toMatchObject(refused(/./))
    const publicPem = new TextEncoder().encode(await exportSPKI(first.publicKey))
    const confused = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'first' }).sign(publicPem)
    await expect(verify(confused)).rejects.toMatchObject(refused(/algorithm/))
    const right = await token()
    const [head, body] = right.split('.')
    await expect(verify(`${head}.${body}.${Buffer.alloc(256).toString('base64url')}`)).rejects.toMatchObject(
      refused(/signature/),
    )
    for (const text of ['', 'a.b.c', 'x', '..', right.slice(0, -40)])
      await expect(verify(text)).rejects.toMatchObject(refused(/./))
  })

  it('has algorithms with shared secrets refused in the configuration', () => {
    const issuer = { issuer: 'i', audience: 'a', jwksUrl: 'https://id.example/keys', algorithms: ['HS256'] }
    expect(accessSection.safeParse({ jwt: [issuer] }).success).toBe(false)
  })
})

describe('the keys of an issuer', () => {
  it('are fetched once for many tokens, and again for a key that is new, at most every half minute', async () => {
    const { verify } = await issuers()
    await Promise.all(Array.from({ length: 20 }, async () => verify(await token())))
    expect(fetches).toBe(1)
    published = [second]
    // A key nobody knows, right after a fetch: not asked for again.
    await expect(verify(await token({ by: second }))).rejects.toMatchObject(refused(/does not publish/))
    expect(fetches).toBe(1)
    clock.advance(30_000)
    await verify(await token({ by: second }))
    expect(fetches).toBe(2)
    for (let i = 0; i < 5; i++) await expect(verify(await token())).rejects.toMatchObject(refused(/does not publish/))
    expect(fetches).toBe(2)
  })

  it('go on when the issuer cannot be reached any more, and are asked for anew when it can', async () => {
    const { verify } = await issuers()
    await verify(await token())
    keyServer.closeAllConnections()
    await new Promise((resolve) => keyServer.close(resolve))
    clock.advance(11 * 60_000)
    await verify(await token({ lifeSeconds: 3600 }))
    clock.advance(60 * 60_000)
    await verify(await token({ lifeSeconds: 7200 }))
  })

  it('that were never fetched are no fault of the caller: it is told to come back', async () => {
    const { verify } = await issuers({ jwksUrl: 'http://127.0.0.1:1/keys' })
    await expect(verify(await token())).rejects.toMatchObject({ code: 'ACCESS_ISSUER_DOWN', status: 503, retry: true })
  })
})
