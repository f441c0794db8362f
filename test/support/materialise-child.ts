// A process that materialises in full, to be killed: `node --import tsx materialise-child.ts <folder> <redis url> <T0 ms> <view>`. It goes on
// with what was left behind by the one before, and ends by itself when the view is whole.
import { createPlatform, type Platform } from '../../src/core/index.js'
import { enginesOnce } from '../../src/features/aggregate/engines-once.js'
import {
  column,
  count,
  defineEntity,
  defineFeatureView,
  fileSource,
  pushSource,
  sum,
} from '../../src/features/index.js'
import { createRedisOnlineStore } from '../../src/features/online/redis-online-store.js'
import { type ArrayHistory, arrayOffline, type Flow, openFlow } from './feature-flow.js'

const HOUR = 3_600_000
export const KEYS = Array.from({ length: 3000 }, (_, i) => `u${String(i).padStart(4, '0')}`)
const user = defineEntity('user', { keys: { user_id: 'string' } })
// No ids: an event that went in twice would count twice.
const orders = pushSource('orders', { columns: { user_id: 'string', amount: 'float64' } })
const definitions = [
  defineFeatureView('profile', {
    entities: [user],
    source: fileSource('profiles', { path: 'p.parquet', eventTime: 'at', knownTime: 'known' }),
    features: { score: column('float64') },
  }),
  defineFeatureView('spend', {
    entities: [user],
    source: fileSource('archive', { path: 'o.parquet', eventTime: 'at', knownTime: 'known' }),
    stream: orders,
    features: { n: count({ over: '2d' }), total: sum('amount', { over: '2d' }) },
  }),
]

/** `score`: what the profiles say. */
function history(t0Ms: number, score: number): Record<string, ArrayHistory> {
  return {
    profile: {
      rows: KEYS.map((key) => ({ key, eventMs: t0Ms - HOUR, knownMs: t0Ms - HOUR + score, values: [score] })),
    },
    spend: {
      events: KEYS.flatMap((key, k) =>
        [30, 20, 10, 5].map((hoursAgo) => {
          const eventMs = t0Ms - hoursAgo * HOUR
          return { key, id: undefined, eventMs, knownMs: eventMs, values: [k] }
        }),
      ),
    },
  }
}

/** The flow of this folder, with a store that outlives it. */
export async function openInRedis(
  folder: string,
  url: string,
  t0Ms: number,
  score: number,
  platform: Platform = createPlatform(),
): Promise<Flow> {
  const store = await createRedisOnlineStore({ platform, url, engineOf: enginesOnce() })
  const offline = arrayOffline(history(t0Ms, score), 40)
  const flow = await openFlow({ folder, definitions, platform, store, offline, fillAtStart: false })
  return {
    ...flow,
    async close() {
      await flow.close()
      await store.close()
    },
  }
}

if (process.argv[1]?.endsWith('materialise-child.ts')) {
  const [folder, url, t0Ms, view] = process.argv.slice(2)
  const flow = await openInRedis(folder!, url!, Number(t0Ms), 2)
  process.stdout.write('started\n')
  await flow.materialiser.materialise({ view: view!, full: true })
  await flow.close()
}
