// No batching at all: first come, first served, one request at a time, nothing refused. The floor that shows the others' worth.
import type { CreateScheduler, Request } from './replay.js'

export const createOneByOne: CreateScheduler = ({ instance }) => {
  const queue: Request[] = []
  let head = 0
  let isBusy = false
  const next = (): void => {
    const request = queue[head]
    if (isBusy || request === undefined) return
    head++
    isBusy = true
    instance.run(request.rows, () => {
      isBusy = false
      request.answer(true)
      next()
    })
  }
  return {
    submit(request) {
      queue.push(request)
      next()
    },
  }
}
