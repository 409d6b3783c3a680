import { onTestFinished } from 'vitest'
import type { QueueEntry, SessionStore } from '../../core/sessions/session-store.ts'

const verbs = ['claim', 'append', 'page', 'send', 'ack', 'remove', 'release', 'forget', 'subscribe', 'unsubscribe', 'close', 'end'] as const

/** Makes a store answer in later turns of the event loop, in the order of the calls, as one on a disk or behind a network does. */
export function answerLater(store: SessionStore): void {
  const waiting: (() => void)[] = []
  let timer: NodeJS.Immediate | undefined
  // A few calls each turn, so that answers to calls of one turn come in several.
  const work = (): void => {
    for (const run of waiting.splice(0, 3)) run()
    timer = waiting.length > 0 ? setImmediate(work) : undefined
  }
  onTestFinished(() => clearImmediate(timer))
  for (const verb of verbs) {
    const call = store[verb].bind(store) as (...given: unknown[]) => unknown
    const later = (...given: unknown[]) =>
      new Promise((resolve, reject) => {
        waiting.push(() => Promise.resolve(call(...given)).then(value => resolve(verb === 'page' ? copies(value) : value), reject))
        timer ??= setImmediate(work)
      })
    Object.assign(store, { [verb]: later })
  }
}

// What a store behind a network hands out does not change afterwards.
function copies(entries: unknown): QueueEntry[] {
  return (entries as QueueEntry[]).map(entry => ({ ...entry }))
}
