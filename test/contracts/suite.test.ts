import { expect, test } from 'vitest'
import { Message } from '../../core/messages/message.ts'
import type { AppendTarget, ClaimRequest, QueueEntry, SessionKey } from '../../core/sessions/session-store.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { MemoryState } from '../../plugins/memory/memory-state.ts'
import { Verdict } from '../support/suite-verdict.ts'
import { retainedContract, sessionsContract, stateContract } from './suite/index.ts'

// Goal: the suites tell a broken owner. Each owner here is the one in memory with one thing wrong, and the test that is about
// that thing must fail.

async function failing(Owner: typeof MemorySessions): Promise<string[]> {
  const runner = new Verdict()
  sessionsContract(runner, { name: 'wrongly', create: clock => new Owner(clock) })
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
    'rejects where there is nothing to end',
    class extends MemorySessions {
      override end(session: SessionKey) {
        return super.end(session) ?? Promise.reject(new Error('there is no such session'))
      }
    },
    'that are not there end as nothing: no error, nothing is dropped, lost or left',
  ],
  [
    'keeps the will of an earlier connection where the next has none',
    class extends MemorySessions {
      override claim(request: ClaimRequest) {
        const will = request.will ?? this.wills.get(request.clientId) ?? null
        this.wills.set(request.clientId, will)
        return super.claim({ ...request, will })
      }
      wills = new Map<string, ClaimRequest['will']>()
    },
    'have no will where it is null, though their connection was lost, also in place of one before',
  ],
  [
    'takes a will without a payload for none',
    class extends MemorySessions {
      override claim(request: ClaimRequest) {
        return super.claim({ ...request, will: request.will?.message.payloadLength === 0 ? null : request.will })
      }
    },
    'keep a will that says nothing: no payload, no user, no rights',
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
  retainedContract(runner, { name: 'wrongly', create: clock => new KeepsFirst(clock) })
  expect(await runner.failing()).toEqual([
    'are the last of each topic, and gone when an empty payload clears it',
    'are the last of each topic too where several are on their way at once',
    'that have expired are not counted, whether a walk finds them, a new message takes their place or they are cleared',
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
  stateContract(runner, { name: 'wrongly', create: clock => new Owner(clock) })
  expect(await runner.failing()).toContain(title)
})
