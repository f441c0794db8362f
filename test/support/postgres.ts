// A PostgreSQL of the test's own on a free port, from Debian's packages. It does not run as root: another user runs it then.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'

export interface TestPostgres {
  readonly url: string
  /** An empty schema of its own: the URL that leads there. */
  schema(): Promise<string>
  /** Stops answering without closing connections, until `thaw`. */
  freeze(): void
  thaw(): void
  /** As a crash does, at once. */
  kill(): Promise<void>
  /** After `kill`, on the same port and data. */
  start(): Promise<void>
  stop(): Promise<void>
}

function binaries(): string | undefined {
  const parent = '/usr/lib/postgresql'
  const versions = existsSync(parent) ? readdirSync(parent).sort((a, b) => Number(b) - Number(a)) : []
  const folder = versions
    .map((version) => join(parent, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'postgres')))
  return folder
}

/** uid and gid to run it with; undefined: our own. */
function otherUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

/** Why there is no PostgreSQL for tests here; undefined when there is one. */
export function postgresMissing(): string | undefined {
  if (binaries() === undefined) return 'PostgreSQL is not installed (Debian: apt install postgresql)'
  try {
    otherUser()
    return undefined
  } catch {
    return 'PostgreSQL does not run as root, and there is no user "postgres" to run it'
  }
}

export async function startPostgres(): Promise<TestPostgres> {
  const bin = binaries()!
  const user = otherUser()
  const folder = mkdtempSync(join(tmpdir(), 'headrace-postgres-'))
  if (user) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const as = { ...user, env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' }, cwd: folder }
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'test', '--auth=trust', '-E', 'UTF8', '--no-sync'], {
    ...as,
    stdio: 'ignore',
  })
  const port = await freePort()
  const settings = ['fsync=off', 'listen_addresses=127.0.0.1', `unix_socket_directories=${folder}`]
  let child: ChildProcess
  async function start(): Promise<void> {
    child = spawn(join(bin, 'postgres'), ['-D', data, '-p', String(port), ...settings.flatMap((one) => ['-c', one])], {
      ...as,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`postgres ended with ${code}`)))
      child.stderr!.on('data', (text: Buffer) => {
        if (text.includes('ready to accept connections')) resolve()
      })
    })
  }
  async function end(signal: NodeJS.Signals): Promise<void> {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    if (child.exitCode === null && child.signalCode === null) await ended
  }
  /** Each connection has a process of its own; the one that forks them comes first, so that none is missed. */
  function signalAll(signal: NodeJS.Signals): void {
    child.kill(signal)
    const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(child.pid)], { encoding: 'utf8' })
    for (const pid of children.trim().split(/\s+/)) {
      try {
        process.kill(Number(pid), signal)
      } catch (error) {
        // A connection that ended meanwhile.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
  }
  await start()
  const url = `postgres://test@127.0.0.1:${port}/postgres`
  let schemas = 0
  return {
    url,
    async schema() {
      const name = `test_${++schemas}`
      const client = new Client(url)
      await client.connect()
      await client.query(`create schema ${name}`)
      await client.end()
      return `${url}?options=-c%20search_path%3D${name}`
    },
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
    // The quickest end that lets go of the port and of shared memory.
    kill: () => end('SIGQUIT'),
    start,
    async stop() {
      await end('SIGINT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
