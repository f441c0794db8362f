// Two ends of a channel, joined by a wire that clones what it carries, a turn of the event loop later, as IPC does.
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { AppErrors } from '../errors.js'
import { Channel, type Wire } from './channel.js'

interface Adder {
  add(a: number, b: number): number
  slowly(value: string): Promise<string>
  fail(): never
  hold(): Promise<void>
  note(text: string): void
  odd(value: unknown): unknown
}

function pair(methods: Partial<Adder>) {
  let messages = 0
  const ends = [0, 1].map(() => ({ message: (_: unknown) => {}, close: () => {} }))
  const wire = (own: number): Wire => ({
    send(message) {
      messages++
      const copy = structuredClone(message)
      setImmediate(() => ends[1 - own]!.message(copy))
    },
    onMessage: (listener) => {
      ends[own]!.message = listener
    },
    onClose: (listener) => {
      ends[own]!.close = listener
    },
  })
  const caller = new Channel<Adder>(wire(0), {})
  const answering = new Channel<object>(wire(1), methods)
  return { caller, answering, close: () => ends[0]!.close(), messages: () => messages }
}

describe('a channel between processes', () => {
  it('carries what is called in one turn as one message, and the answers of one turn too', async () => {
    const { caller, messages } = pair({ add: (a, b) => a + b, slowly: async (value) => `${value}!` })
    const calls = [caller.call('add', 1, 2), caller.call('add', 3, 4)]
    expect(await Promise.all(calls)).toEqual([3, 7])
    expect(messages()).toBe(2)
    expect(await caller.call('slowly', 'so')).toBe('so!')
  })

  it('answers at once, before what is told later, when a method returns no promise', async () => {
    const heard: string[] = []
    const { caller } = pair({ add: (a, b) => a + b, note: (text) => void heard.push(text) })
    caller.tell('note', 'before')
    const sum = caller.call('add', 1, 1)
    caller.tell('note', 'after')
    await sum
    expect(heard).toEqual(['before', 'after'])
  })

  it('gives the error of the other end, with its code', async () => {
    const { caller } = pair({
      fail() {
        throw AppErrors.NO_MODELS_FOLDER()
      },
    })
    await expect(caller.call('fail')).rejects.toMatchObject({ code: 'APP_NO_MODELS_FOLDER', status: 409 })
  })

  it('rejects what cannot be cloned, there or back, and nothing else of the same turn', async () => {
    const { caller } = pair({ add: (a, b) => a + b, odd: () => () => 1 })
    const odd = caller.call('odd', () => 1)
    const sum = caller.call('add', 1, 2)
    await expect(odd).rejects.toThrow('could not be cloned')
    expect(await sum).toBe(3)
    await expect(caller.call('odd', 1)).rejects.toMatchObject({ code: 'CORE_INTERNAL' })
  })

  it('rejects what waits, and what comes later, when the other process is gone', async () => {
    const { caller, close } = pair({ hold: () => new Promise<void>(() => {}) })
    const waiting = caller.call('hold')
    await turn()
    close()
    await expect(waiting).rejects.toMatchObject({ code: 'PROCESS_GONE', retry: true })
    await expect(caller.call('add', 1, 2)).rejects.toMatchObject({ code: 'PROCESS_GONE' })
    caller.tell('note', 'nobody hears it')
  })
})
