// A Kafka broker of the test's own on free ports (KRaft, one node), from jars that Maven fetched: see kafka/pom.xml.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface TestKafka {
  readonly brokers: readonly string[]
  /** Of 4 partitions. A topic that the first send makes may get some of its records twice: kafkajs sends them again until all have leaders. */
  createTopic(topic: string): Promise<void>
  kill(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

/** KAFKA_LIBS, or where the command in kafka/pom.xml puts them. */
const LIBS = process.env['KAFKA_LIBS'] ?? path.resolve('node_modules/.cache/kafka-libs')

/** Why there is no Kafka for tests here; undefined when there is one. */
export function kafkaMissing(): string | undefined {
  try {
    if (!readdirSync(LIBS).some((name) => /^kafka_.*\.jar$/.test(name))) throw new Error('no jar')
  } catch {
    return `there are no Kafka jars in ${LIBS}: run the command in test/support/kafka/pom.xml, or name a folder in KAFKA_LIBS`
  }
  try {
    execFileSync('java', ['-version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'java is not installed (Debian: apt install openjdk-17-jre-headless)'
  }
}

const CLUSTER_ID = 'aGVhZHJhY2UtdGVzdHMtMQ'

export async function startKafka(): Promise<TestKafka> {
  const folder = mkdtempSync(path.join(tmpdir(), 'headrace-kafka-'))
  const [port, controller] = [await freePort(), await freePort()]
  const properties = path.join(folder, 'server.properties')
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': path.join(folder, 'data'),
    'num.partitions': '4',
    'offsets.topic.num.partitions': '1',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
  }
  writeFileSync(
    properties,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const java = ['-Xmx384m', '-cp', path.join(LIBS, '*')]
  execFileSync('java', [...java, 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties], {
    stdio: 'ignore',
  })
  let child: ChildProcess
  async function start(): Promise<void> {
    child = spawn('java', [...java, 'kafka.Kafka', properties], { stdio: 'ignore' })
    const { Kafka, logLevel } = await import('kafkajs')
    for (let attempt = 0; ; attempt++) {
      const admin = new Kafka({
        brokers: [`127.0.0.1:${port}`],
        logLevel: logLevel.NOTHING,
        retry: { retries: 0 },
      }).admin()
      try {
        await admin.connect()
        await admin.listTopics()
        return
      } catch (error) {
        if (child.exitCode !== null || attempt > 120) throw error
        await new Promise((resolve) => setTimeout(resolve, 250))
      } finally {
        await admin.disconnect()
      }
    }
  }
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }
  await start()
  return {
    brokers: [`127.0.0.1:${port}`],
    async createTopic(topic) {
      const { Kafka, logLevel } = await import('kafkajs')
      const admin = new Kafka({ brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING }).admin()
      await admin.connect()
      await admin.createTopics({ topics: [{ topic, numPartitions: 4 }], waitForLeaders: true })
      await admin.disconnect()
    },
    kill,
    start,
    async close() {
      await kill()
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
