import { describeStream } from '../../test/contract/stream.js'
import { createPlatform } from '../core/index.js'
import { createMemoryStream } from './memory-stream.js'

let topics = 0
describeStream({
  name: 'a stream in memory',
  open: async () => {
    const stream = createMemoryStream({ platform: createPlatform() })
    return [stream, stream]
  },
  newTopic: async () => `topic-${topics++}`,
})
