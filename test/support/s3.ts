// An S3 store of the test's own: moto, which speaks the protocol over HTTP and keeps everything in memory.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'

export interface TestS3 {
  readonly endpoint: string
  /** The URL of a bucket of its own. */
  bucket(): Promise<string>
  freeze(): void
  thaw(): void
  stop(): Promise<void>
}

export const S3_ENVIRONMENT = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'eu-central-1' }

/** Why there is no S3 store for tests here; undefined when there is one. */
export function s3Missing(): string | undefined {
  try {
    execFileSync('moto_server', ['--help'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'moto_server is not installed (pip install "moto[server,s3]")'
  }
}

export async function startS3(): Promise<TestS3> {
  const port = await freePort()
  const child: ChildProcess = spawn('moto_server', ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
  const endpoint = `http://127.0.0.1:${port}`
  const isUp = () =>
    fetch(endpoint).then(
      () => true,
      () => false,
    )
  for (let tries = 0; !(await isUp()); tries++) {
    if (child.exitCode !== null || tries > 600) throw new Error(`moto_server does not answer (${child.exitCode})`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const client = new S3Client({
    endpoint,
    region: S3_ENVIRONMENT.AWS_REGION,
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  let buckets = 0
  return {
    endpoint,
    async bucket() {
      const name = `test-${++buckets}`
      await client.send(
        new CreateBucketCommand({
          Bucket: name,
          CreateBucketConfiguration: { LocationConstraint: 'eu-central-1' },
        }),
      )
      return `s3://${name}/some/prefix?endpoint=${endpoint}`
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async stop() {
      client.destroy()
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await ended
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
