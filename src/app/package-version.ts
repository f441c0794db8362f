// The version of this package, from its package.json: two folders up, both from the sources and from the build.
import { readFileSync } from 'node:fs'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string
}

export const packageVersion: string = version
