#!/usr/bin/env node
// Starts the command line. The faces may not know each other, so this file hands the server to the commands.
import { existsSync } from 'node:fs'
import process from 'node:process'

const main = new URL('../dist/cli/main.js', import.meta.url)
if (!existsSync(main)) {
  process.stderr.write('Headrace is not built yet. Run "npm run build" first.\n')
  process.exit(2)
}
const { runCommand } = await import(main.href)
await runCommand(process.argv, {
  startServer: async (app) => (await import('../dist/server/index.js')).startServer(app),
})
