import { expect, test } from 'vitest'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'
import { Line } from '../../presets/testing/line.ts'
import { Verdict } from '../support/suite-verdict.ts'
import { listenerContract } from './suite/index.ts'

// Goal: the suite of listeners tells a broken transport. Each is one over a stream in memory with one thing wrong, and the test that is about that thing must fail.

async function failing(Transport: typeof StreamTransport, only: string): Promise<string[]> {
  const verdict = new Verdict()
  listenerContract(verdict, {
    name: 'in memory',
    lacks: ['host', 'unlisten', 'maxConnections'],
    config: () => ({}),
    connect(running) {
      const [ours, theirs] = Line.pair()
      const transport = new Transport(theirs, { protocol: 'memory', listener: 'memory' })
      const events = running.accept(transport)
      if (events === null) theirs.destroy()
      else transport.listen(events)
      return ours
    },
  })
  return verdict.failing(only)
}

const taken = 'has taken what it says that it has taken, and keeps the order of write and writeMany'
const paused = 'reads nothing while it is to pause, so that its client has to wait, and loses nothing by it'
const ended = 'sends what waits before it ends, and the last word to a client that is refused'
const waiting = 'counts what waits while its client reads nothing, and says when it has gone'
const once = 'tells of the end of each connection once, whoever ends it and however'

test.each([taken, paused, ended, waiting, once])('has nothing against a transport that is right: %s', async title => {
  expect(await failing(StreamTransport, title)).toEqual([])
})

const wrong: [string, typeof StreamTransport, string][] = [
  [
    'says that it has taken what it still needs',
    class extends StreamTransport {
      override write(bytes: Buffer): boolean {
        setImmediate(() => super.write(bytes))
        return true
      }
    },
    taken,
  ],
  [
    'reads on while it is to pause',
    class extends StreamTransport {
      override pause(): void {}
    },
    paused,
  ],
  [
    'breaks off where it is to end',
    class extends StreamTransport {
      override end(): void {
        this.destroy()
      }
    },
    ended,
  ],
  [
    'says that nothing waits',
    class extends StreamTransport {
      override get bufferedBytes(): number {
        return 0
      }
    },
    waiting,
  ],
]

test.each(wrong)('tells a transport that %s', async (_what, Transport, title) => {
  expect(await failing(Transport, title)).toEqual([title])
})
