import type { Bench } from 'tinybench'
import type { FormerClient } from '../../../core/connection/client.ts'
import { createHooks } from '../../../core/hooks.ts'
import { Message } from '../../../core/messages/message.ts'
import { SystemClock } from '../../../plugins/kit/system-clock.ts'

// Calls the hook that every publish goes through, with no, one and three taps, guarded as plugins' taps are: what a plugin's
// presence costs each message before it does anything.

export const title = 'onPublish.callAsync with synchronous taps'

export function add(bench: Bench): void {
  const publisher: FormerClient = { clientId: 'c', username: null, rights: null }
  const message = new Message({
    topic: 't',
    payload: Buffer.alloc(64),
    qos: 0,
    retain: false,
    origin: 'client',
    clientId: 'c',
    receivedAt: 0,
  })
  const done = (): void => {}
  for (const taps of [0, 1, 3]) {
    const { onPublish } = createHooks({ clock: new SystemClock(), verdictTimeoutMs: 5000, report: () => {} })
    for (let i = 0; i < taps; i++) onPublish.tap(`plugin ${i}`, () => undefined)
    bench.add(`${taps} taps`, () => {
      if (onPublish.isUsed()) onPublish.callAsync(publisher, message, done)
    })
  }
}
