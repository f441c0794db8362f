// The `access` section of the configuration.
import { z } from 'zod'
import { ROLES } from './types.js'

/** Signatures that a public key checks. With secrets shared between issuer and server, whoever reads a key set could sign. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const

/** `admin`, `developer:fraud*,churn`, `predict:*`. */
const GRANT = new RegExp(`^(?:(?:${ROLES.join('|')})(?::[^\\s:]+)?|predict:[^\\s:]+)$`)

const claim = z.string().min(1).describe('Name of the claim; dots lead into objects: realm_access.roles')

const issuer = z
  .strictObject({
    issuer: z.string().min(1).describe('What "iss" must be'),
    audience: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).describe('What "aud" must hold one of'),
    jwksUrl: z
      .string()
      .regex(/^https?:\/\//, 'must start with https:// or http://')
      .optional()
      .describe('Where the public keys of the issuer are'),
    jwksFile: z.string().min(1).optional().describe('The same as a file, relative to the project folder'),
    algorithms: z
      .array(z.enum(ALGORITHMS))
      .min(1)
      .default(['RS256', 'ES256', 'EdDSA'])
      .describe('Signatures that are accepted'),
    claims: z
      .strictObject({
        name: claim.default('sub').describe('Who it is, for the record of decisions'),
        roles: claim.default('roles').describe('Its roles: a list, or text with spaces between them'),
        tenant: claim.optional().describe('Its tenant; a token without it is then refused'),
      })
      .prefault({}),
    roleMap: z
      .record(z.string(), z.union([z.string().regex(GRANT), z.array(z.string().regex(GRANT))]))
      .optional()
      .describe(
        'What the roles of the token mean here: viewer, developer:fraud*, predict:*. Default: roles of our names mean themselves',
      ),
  })
  .refine(({ jwksUrl, jwksFile }) => (jwksUrl === undefined) !== (jwksFile === undefined), 'give jwksUrl or jwksFile')

export const accessSection = z
  .strictObject({
    jwt: z.array(issuer).default([]).describe('Issuers of tokens whose callers are let in, beside those with keys'),
    clockToleranceSeconds: z
      .number()
      .min(0)
      .max(600)
      .default(30)
      .describe('How far the clocks of issuers of tokens may be from this one'),
    openMetrics: z.boolean().default(false).describe('Whether /metrics is answered without a key'),
    timeZone: z
      .string()
      .refine(isTimeZone, 'must be a name of the IANA time zone database: Europe/Berlin')
      .default('UTC')
      .describe('Whose midnight daily quotas and usage go by'),
  })
  .prefault({})
  .describe('Who may call. Keys are made with "headrace keys create".')

export type AccessConfig = z.output<typeof accessSection>
export type IssuerConfig = AccessConfig['jwt'][number]

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
