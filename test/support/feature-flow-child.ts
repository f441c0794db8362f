// A process that takes events in for ever, to be killed: `node --import tsx feature-flow-child.ts <folder> <first number>
// <milliseconds between checkpoints>`. It prints the number of the last event of each push that was acknowledged.
import { createPlatform } from '../../src/core/index.js'
import { count, defineEntity, defineFeatureView, lastK, pushSource, sum } from '../../src/features/index.js'
import { openFlow } from './feature-flow.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
// Without an id: nothing but positions keeps an event from counting twice.
const clicks = pushSource('clicks', { columns: { user_id: 'string', number: 'int64' } })

export const definitions = [
  defineFeatureView('activity', {
    entities: [user],
    stream: clicks,
    features: {
      clicks: count({ over: '1d' }),
      total: sum('number', { over: '1d' }),
      last: lastK('number', 'int64', 2, { over: '1d' }),
    },
  }),
]

/** As many as make a checkpoint last a little. */
export const USERS = 200

if (process.argv[1]?.endsWith('feature-flow-child.ts')) {
  const [folder, first, checkpointMs] = process.argv.slice(2)
  const platform = createPlatform()
  const flow = await openFlow({ folder: folder!, definitions, platform, checkpointMs: Number(checkpointMs) })
  await flow.openAll()
  await flow.ingestor.start()
  let number = Number(first)
  for (;;) {
    const pushes = Array.from({ length: 4 }, () =>
      Array.from({ length: 20 }, () => {
        const row = { user_id: `u${number % USERS}`, number }
        number++
        return { row, knownMs: platform.clock.nowMs() }
      }),
    )
    await Promise.all(pushes.map((events) => flow.ingestor.push('clicks', events)))
    process.stdout.write(`${number - 1}\n`)
  }
}
