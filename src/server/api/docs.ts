// The documentation of the API: the OpenAPI document of this very server, and Swagger UI to read it with. Everything comes from
// the installed package, so it works without the internet.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Endpoint } from '../../path/index.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import type { Catalogue } from './catalogue.js'
import { isShown } from './enforce.js'
import { liveKey, liveRoutes } from './live-routes.js'
import { sendText } from './oip.js'
import { openApiDocument } from './openapi.js'
import type { Api } from './route.js'

const TAGS = ['Documentation'] as const
const DOCS_PATH = '/api/docs'

const START_FILE = 'start.js'
const ASSETS: Readonly<Record<string, string>> = {
  [START_FILE]: 'text/javascript; charset=utf-8',
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
}

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Headrace API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${DOCS_PATH}/swagger-ui.css">
<link rel="icon" type="image/png" href="${DOCS_PATH}/favicon-32x32.png">
</head>
<body>
<div id="page"></div>
<script src="${DOCS_PATH}/swagger-ui-bundle.js"></script>
<script src="${DOCS_PATH}/${START_FILE}"></script>
</body>
</html>
`

/** The page is for everybody, the document for those with a key: the page asks for it, and keeps it as long as its tab is open. */
const START = `
let key = sessionStorage.getItem('headrace-key')
async function load() {
  const reply = await fetch('${DOCS_PATH}/json', key ? { headers: { 'x-api-key': key } } : {})
  if (reply.status !== 401) return reply.json()
  key = prompt('This server asks for a key')
  if (!key) return undefined
  sessionStorage.setItem('headrace-key', key)
  return load()
}
function withKey(request) {
  if (key && !request.headers.Authorization) request.headers['x-api-key'] = key
  return request
}
load().then((spec) => {
  if (spec) SwaggerUIBundle({ spec, dom_id: '#page', deepLinking: true, validatorUrl: null, requestInterceptor: withKey })
})
`

/** Only what this server sends may run; Swagger UI styles itself inline and draws its icons from data URLs. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"

export function docsRoutes(api: Api, { app }: ServerContext, catalogue: Catalogue): void {
  const title = `${app.project.config.name ?? basename(app.project.root)}: Headrace API`
  let key: string | undefined
  let text = ''

  /** Written again when other versions answer than the last time. */
  function document(request: FastifyRequest): string {
    const endpoints = app.endpoints.list()
    const shown = endpoints.filter(({ name }) => isShown(request, name))
    if (shown.length < endpoints.length) return textFor(shown)
    const now = liveKey(endpoints, app.versions)
    if (now !== key) {
      text = textFor(endpoints)
      key = now
    }
    return text
  }

  function textFor(endpoints: readonly Endpoint[]): string {
    const live = liveRoutes(endpoints, app.versions, (endpoint) => app.path.featuresOf(endpoint, undefined)?.describe())
    return JSON.stringify(openApiDocument(title, [...catalogue.routes, ...live]))
  }

  for (const path of [`${DOCS_PATH}/json`, '/api/openapi.json']) {
    api.get(
      path,
      { schema: { tags: TAGS, summary: 'This document', response: { 200: Type.Object({ openapi: Type.String() }) } } },
      (request, reply) => sendText(reply, document(request)),
    )
  }

  api.get(
    DOCS_PATH,
    {
      schema: {
        tags: TAGS,
        summary: 'The documentation as a page',
        produces: 'text/html',
        response: { 200: Type.String() },
      },
    },
    (_request, reply) =>
      reply
        .type('text/html; charset=utf-8')
        .header('Content-Security-Policy', CONTENT_SECURITY_POLICY)
        .header('X-Content-Type-Options', 'nosniff')
        .send(PAGE),
  )

  api.get(
    `${DOCS_PATH}/:file`,
    {
      schema: {
        tags: TAGS,
        summary: 'What the page is made of',
        params: Type.Object({ file: Type.String() }),
        produces: 'application/octet-stream',
        response: { 200: Type.String() },
      },
    },
    async (request, reply) => {
      const { file } = request.params
      const type = Object.hasOwn(ASSETS, file) ? ASSETS[file] : undefined
      if (type === undefined) throw HttpErrors.NOT_FOUND({ method: request.method, path: request.url.slice(0, 200) })
      const content = file === START_FILE ? START : await readFile(join(assetsFolder(), file))
      return reply.type(type).header('Cache-Control', 'max-age=3600').send(content)
    },
  )
}

/** Swagger UI's files as @fastify/swagger-ui ships them; the plugin itself is not used. */
function assetsFolder(): string {
  const { resolve } = createRequire(import.meta.url)
  return join(dirname(resolve('@fastify/swagger-ui/package.json')), 'static')
}
