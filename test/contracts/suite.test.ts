import { expect, test } from 'vitest'
import { Message } from '../../core/messages/message.ts'
import type { AppendTarget, ClaimRequest, QueueEntry, SessionKey } from '../../core/sessions/session-store.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { MemoryState } from '../../plugins/memory/memory-state.ts'
import { type ContractRunner, retainedContract, sessionsContract, stateContract } from './suite/index.ts'

// Goal: the suites tell a broken owner. Each owner here is the one in memory with one thing wrong, and the test that is about
// that thing must fail.

/** Runs the tests as they are defined, and keeps the titles of those that fail. */
class Verdict implements ContractRunner {
  readonly #tests: (readonly [string, () => Promise<void>])[] = []

  describe(_name: string, define: () => void): void {
    define()
  }

  it(title: string, run: () => Promise<void>): void {
    this.#tests.push([title, run])
  }

  async failing(): Promise<string[]> {
    const failing: string[] = []
    for (const [title, run] of this.#tests) await run().catch(() => failing.push(title))
    return failing
  }
}

async function failing(Owner: typeof MemorySessions): Promise<string[]> {
  const runner = new Verdict()
  const it = runner.it.bind(runner)
  sessionsContract({ describe: runner.describe, it }, { name: 'wrongly', create: clock => new Owner(clock) })
  return runner.failing()
}

const wrong: [string, typeof MemorySessions, string][] = [
  [
    'takes acknowledgements from anybody',
    class extends MemorySessions {
      override ack(session: SessionKey, packetId: number) {
        const done = super.ack(session, packetId)
        return done instanceof Promise ? done.catch(() => {}) : done
      }
    },
    'take no write from an owner that has lost them',
  ],
  [
    'throws where it should reject',
    class extends MemorySessions {
      override subscribe(...given: Parameters<MemorySessions['subscribe']>) {
        const done = super.subscribe(...given)
        if (done instanceof Promise) {
          done.catch(() => {})
          throw new Error('not yours')
        }
      }
    },
    'take no write from the owner of an earlier life',
  ],
  [
    'keeps the packet identifiers of a lost owner',
    class extends MemorySessions {
      override append(message: Message, targets: readonly AppendTarget[], received: Parameters<MemorySessions['append']>[2]) {
        const [first] = targets
        if (first === undefined || first.packetId === 0) return super.append(message, targets, received)
        super.append(message, [{ ...first, packetId: 0 }, ...targets.slice(1)], received)
        return this.send({ clientId: first.clientId, epoch: this.newest.get(first.clientId) ?? 0 }, ++this.position, first.packetId)
      }
      newest = new Map<string, number>()
      position = 0
      override claim(request: ClaimRequest) {
        const claim = super.claim(request)
        if (!(claim instanceof Promise)) this.newest.set(request.clientId, claim.epoch)
        return claim
      }
    },
    'keep a message without its packet identifier where the owner who gave that has lost them',
  ],
  [
    'forgets what was released',
    class extends MemorySessions {
      override release() {}
    },
    'remember packet identifiers and releases over claims, until the handshake is over',
  ],
  [
    'forgets QoS 2 identifiers',
    class extends MemorySessions {
      override append(message: Message, targets: readonly AppendTarget[]) {
        return super.append(message, targets, null)
      }
    },
    'remember QoS 2 identifiers with the append of their message, until they are forgotten',
  ],
  [
    'shows the queue backwards',
    class extends MemorySessions {
      override page(...given: Parameters<MemorySessions['page']>) {
        const entries = super.page(...given)
        return entries instanceof Promise ? entries : ([...entries].reverse() as QueueEntry[])
      }
    },
    'come in order, ten thousand of them, from the beginning and from anywhere',
  ],
  [
    'loses the payload',
    class extends MemorySessions {
      override append(message: Message, targets: readonly AppendTarget[], received: Parameters<MemorySessions['append']>[2]) {
        const { topic, qos, retain, origin, clientId, receivedAt } = message
        const payload = Buffer.from(message.payload.toString())
        return super.append(new Message({ topic, payload, qos, retain, origin, clientId, receivedAt }), targets, received)
      }
    },
    'keep a message whose payload holds every byte as it is',
  ],
  [
    'lets each will come due twice',
    class extends MemorySessions {
      override expire(now: number, limit: number) {
        const due = super.expire(now, limit)
        return [...due, ...due.filter(({ kind }) => kind === 'will')]
      }
    },
    'come due once, however many ask at the same time',
  ],
  [
    'gives a session to whoever asks',
    class extends MemorySessions {
      override claim(request: ClaimRequest) {
        return super.claim({ ...request, userOnly: false })
      }
    },
    'are refused to another user where only their owner may have them, and stay as they are: closed, of eve',
  ],
  [
    'says that it refused a claim, and has ended the session',
    class extends MemorySessions {
      override claim(request: ClaimRequest) {
        const claim = super.claim(request)
        if (claim instanceof Promise) super.claim({ ...request, userOnly: false })
        return claim
      }
    },
    'are refused to another user where only their owner may have them, and stay as they are: connected, of eve',
  ],
  [
    'counts a message once, though it waits in two queues',
    class extends MemorySessions {
      override append(message: Message, targets: readonly AppendTarget[], received: Parameters<MemorySessions['append']>[2]) {
        this.more += Math.max(0, targets.length - 1)
        return super.append(message, targets, received)
      }
      more = 0
      override totals() {
        const totals = super.totals()
        return { ...totals, messages: totals.messages - this.more }
      }
    },
    'count themselves and what waits in all their queues',
  ],
  [
    'hands out its own entries to who peeks, one too many',
    class extends MemorySessions {
      override peek(clientId: string, position: number, limit: number) {
        return super.peek(clientId, position - 1, limit)
      }
    },
    'show their queue to anybody, and go on as if nobody had looked',
  ],
  [
    'lists nothing behind the first page',
    class extends MemorySessions {
      override list(after: string | null, limit: number) {
        return { ...super.list(after, limit), next: null }
      }
    },
    'are listed once each, however small the pages, while others come and end',
  ],
]

test.each(wrong)('the suite of sessions tells an owner that %s', async (_what, Owner, title) => {
  expect(await failing(Owner)).toContain(title)
})

test('the suite of sessions has nothing against the owner in memory, and that of retained messages tells one that keeps the first', async () => {
  expect(await failing(MemorySessions)).toEqual([])
  const runner = new Verdict()
  class KeepsFirst extends MemoryRetained {
    override set(message: Message): void {
      if (message.payloadLength === 0 || !this.#topics.has(message.topic)) super.set(message)
      this.#topics.add(message.topic)
    }
    readonly #topics = new Set<string>()
  }
  retainedContract({ describe: runner.describe, it: runner.it.bind(runner) }, { name: 'wrongly', create: clock => new KeepsFirst(clock) })
  expect(await runner.failing()).toEqual([
    'are the last of each topic, and gone when an empty payload clears it',
    'are the last of each topic too where several are on their way at once',
  ])
})

const wrongStates: [string, typeof MemoryState, string][] = [
  [
    'keeps what has expired',
    class extends MemoryState {
      override set(key: string, value: string) {
        return super.set(key, value)
      }
    },
    'takes a key away when its time has come, not a millisecond before, and says so',
  ],
  [
    'takes whatever is given',
    class extends MemoryState {
      override async set(key: string, value: string, expiresAt = Number.POSITIVE_INFINITY) {
        this.table.put({ key, value, expiresAt })
      }
    },
    'has a bound: what comes beyond is refused, and what is there can be changed and taken away',
  ],
  [
    'tells everybody everything',
    class extends MemoryState {
      override watch(_prefix: string, watcher: Parameters<MemoryState['watch']>[1]) {
        return super.watch('', watcher)
      }
    },
    'tells each change of the keys that are watched, as it is kept, until nobody listens',
  ],
]

test.each(wrongStates)('the suite of the state tells an owner that %s', async (_what, Owner, title) => {
  const runner = new Verdict()
  stateContract({ describe: runner.describe, it: runner.it.bind(runner) }, { name: 'wrongly', create: clock => new Owner(clock) })
  expect(await runner.failing()).toContain(title)
})
