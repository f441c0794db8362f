// Where blobs are kept in S3: `s3://bucket/prefix?region=…&endpoint=…&pathStyle=true`, completed by what the environment says.
import { checkBlobKey } from './blob-key.js'
import { StoreErrors } from './errors.js'

export interface S3Place {
  readonly bucket: string
  /** What every key begins with: empty or ends with `/`. */
  readonly folder: string
  readonly region: string
  readonly endpoint: string | undefined
  /** The bucket stands in the path, as most stores that are not Amazon's have it, not in the host's name. */
  readonly isPathStyle: boolean
  /** For messages. */
  readonly label: string
}

const KNOWN = ['region', 'endpoint', 'pathStyle']

/** Throws STORE_BLOBS_INVALID. */
export function s3Place(url: string, environment: Readonly<Record<string, string | undefined>>): S3Place {
  const refuse = (problem: string) => StoreErrors.BLOBS_INVALID({ problem })
  const read = URL.canParse(url) ? new URL(url) : undefined
  if (read === undefined || read.protocol !== 's3:' || read.hostname === '')
    throw refuse('it must be s3://bucket/prefix')
  if (read.username !== '' || read.password !== '')
    throw refuse(
      'it must hold no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role give them',
    )
  const unknown = [...read.searchParams.keys()].find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) throw refuse(`"${unknown}" is none of ${KNOWN.join(', ')}`)
  const prefix = decodeURIComponent(read.pathname).replace(/^\/+|\/+$/g, '')
  if (prefix !== '') checkBlobKey(prefix)
  const endpoint =
    read.searchParams.get('endpoint') ?? environment['AWS_ENDPOINT_URL_S3'] ?? environment['AWS_ENDPOINT_URL']
  if (endpoint !== undefined && !/^https?:\/\/\S+$/.test(endpoint))
    throw refuse('its endpoint must be http:// or https://')
  const pathStyle = read.searchParams.get('pathStyle')
  const bucket = read.hostname
  return {
    bucket,
    folder: prefix === '' ? '' : `${prefix}/`,
    region:
      read.searchParams.get('region') ?? environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION'] ?? 'us-east-1',
    endpoint,
    isPathStyle: pathStyle === null ? endpoint !== undefined : pathStyle === 'true',
    label: `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`,
  }
}
