// Floor 6. The HTTP face: Open Inference Protocol, KServe v1, the native call and the management API over one app.
// It parses, calls one function of a domain, and shapes the reply; predictions take a raw path, the rest goes through Fastify.
// Start it with `startServer`; what it does is decided by the project's configuration.
export { HttpErrors } from './errors.js'
export { type RunningServer, startServer } from './http-server.js'
