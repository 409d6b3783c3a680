import type { Hooks } from '../../core/hooks.ts'
import { ReasonCode } from '../../core/reason.ts'
import { settled, type TestBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'

/** How a hook takes its taps; see docs/lifecycle.md. */
export type Kind = 'decide' | 'decideAsync' | 'observe' | 'observeAsync'

/** One hook, a way to have it called about the client `victim` alone, and what that client then sees. */
export interface Scenario {
  readonly hook: keyof Hooks
  readonly kind: Kind
  /** What has to be there before the tap is. */
  arrange?(broker: TestBroker): Promise<void>
  /** Has the hook called; resolves to what the victim sees. */
  provoke(broker: TestBroker): Promise<unknown>
  /** That, where no tap has an opinion. */
  readonly unharmed: unknown
  /** That, where the tap failed; for hooks that only observe the same as unharmed. */
  readonly harmed: unknown
}

const returnCode = async (connecting: Promise<{ reasonCode: number }>) => (await connecting).reasonCode

async function goesOn(client: TestClient): Promise<boolean> {
  await client.rest()
  return true
}

async function publishAs(broker: TestBroker, clientId: string, topic: string): Promise<number | undefined> {
  const client = await broker.connect({ version: 5, clientId })
  return (await client.publish(topic, '', { qos: 1 }))?.reasonCode
}

/** The victim subscribes, somebody else publishes; what of that the victim gets. */
async function delivery(broker: TestBroker, filter = 'victim/#'): Promise<string[]> {
  const victim = await broker.connect({ clientId: 'victim' })
  await victim.subscribe(filter, 1)
  const writer = await broker.connect({ clientId: 'writer' })
  await writer.publish('victim/1', 'message', { qos: 1 })
  await settled()
  const got = victim.heard.flatMap(packet => ('payload' in packet ? [packet.payload.toString()] : []))
  if (got.length > 0) await victim.receive()
  await goesOn(victim)
  return got
}

const observes = { unharmed: true, harmed: true } as const

export const scenarios: readonly Scenario[] = [
  {
    hook: 'onAccept',
    kind: 'decide',
    async provoke({ open }) {
      const client = open()
      client.connect({ clientId: 'victim' }).catch(() => {})
      await settled()
      return client.isClosed
    },
    unharmed: false,
    harmed: true,
  },
  {
    hook: 'onAuthenticate',
    kind: 'decideAsync',
    provoke: ({ open }) => returnCode(open(5).connect({ clientId: 'victim' })),
    unharmed: 0,
    harmed: ReasonCode.ImplementationSpecificError,
  },
  {
    hook: 'onAuth',
    kind: 'decideAsync',
    provoke: ({ open }) => returnCode(open(5).connect({ clientId: 'victim', properties: { authenticationMethod: 'test' } })),
    unharmed: ReasonCode.BadAuthenticationMethod,
    harmed: ReasonCode.ImplementationSpecificError,
  },
  {
    hook: 'onConnect',
    kind: 'decideAsync',
    provoke: ({ open }) => returnCode(open(5).connect({ clientId: 'victim' })),
    unharmed: 0,
    harmed: ReasonCode.ImplementationSpecificError,
  },
  {
    hook: 'onConnected',
    kind: 'observe',
    provoke: async ({ connect }) => goesOn(await connect({ clientId: 'victim' })),
    ...observes,
  },
  {
    hook: 'onAuthorize',
    kind: 'decide',
    provoke: broker => publishAs(broker, 'victim', 'victim/1'),
    unharmed: ReasonCode.NoMatchingSubscribers,
    harmed: ReasonCode.NotAuthorized,
  },
  {
    hook: 'onSubscribe',
    kind: 'decideAsync',
    provoke: async ({ connect }) => (await connect({ version: 5, clientId: 'victim' })).subscribe('a', 1),
    unharmed: [1],
    harmed: [ReasonCode.ImplementationSpecificError],
  },
  {
    hook: 'onAnswer',
    kind: 'observeAsync',
    provoke: async ({ connect }) => goesOn(await connect({ clientId: 'victim' })),
    ...observes,
  },
  {
    hook: 'onSubscribed',
    kind: 'observe',
    async provoke({ connect }) {
      const victim = await connect({ clientId: 'victim' })
      await victim.subscribe('a')
      return goesOn(victim)
    },
    ...observes,
  },
  {
    hook: 'onUnsubscribe',
    kind: 'decide',
    async provoke({ connect }) {
      const victim = await connect({ version: 5, clientId: 'victim' })
      await victim.subscribe('a')
      return victim.unsubscribe('a')
    },
    unharmed: [ReasonCode.Success],
    harmed: [ReasonCode.ImplementationSpecificError],
  },
  {
    hook: 'onUnsubscribed',
    kind: 'observe',
    async provoke({ connect }) {
      const victim = await connect({ clientId: 'victim' })
      await victim.subscribe('a')
      await victim.unsubscribe('a')
      return goesOn(victim)
    },
    ...observes,
  },
  {
    hook: 'onPublish',
    kind: 'decideAsync',
    provoke: broker => publishAs(broker, 'victim', 'victim/1'),
    unharmed: ReasonCode.NoMatchingSubscribers,
    harmed: ReasonCode.ImplementationSpecificError,
  },
  {
    hook: 'onRoute',
    kind: 'observe',
    provoke: broker => publishAs(broker, 'victim', 'victim/1'),
    unharmed: ReasonCode.NoMatchingSubscribers,
    harmed: ReasonCode.NoMatchingSubscribers,
  },
  {
    hook: 'onShare',
    kind: 'decide',
    // It is asked where there are several members; one that is away gets nothing while another is there.
    async arrange({ connect }) {
      const away = await connect({ clientId: 'away', cleanStart: false })
      await away.subscribe('$share/group/victim/#', 1)
      away.disconnect()
      await away.closed
    },
    provoke: broker => delivery(broker, '$share/group/victim/#'),
    unharmed: ['message'],
    harmed: ['message'],
  },
  { hook: 'onDeliver', kind: 'decide', provoke: broker => delivery(broker), unharmed: ['message'], harmed: [] },
  { hook: 'onDelivered', kind: 'observe', provoke: broker => delivery(broker), unharmed: ['message'], harmed: ['message'] },
  { hook: 'onAcked', kind: 'observe', provoke: broker => delivery(broker), unharmed: ['message'], harmed: ['message'] },
  {
    hook: 'onDrop',
    kind: 'observe',
    async arrange({ hooks }) {
      hooks.onPublish.tap('dropper', (_publisher, { topic }) => (topic === 'victim/1' ? 'drop' : undefined))
    },
    provoke: broker => publishAs(broker, 'victim', 'victim/1'),
    unharmed: 0,
    harmed: 0,
  },
  {
    hook: 'onWill',
    kind: 'decide',
    async provoke({ connect }) {
      const watcher = await connect({ clientId: 'watcher' })
      await watcher.subscribe('victim/will')
      const victim = await connect({ clientId: 'victim', will: { topic: 'victim/will', payload: Buffer.from('gone') } })
      victim.drop()
      await settled()
      return watcher.payloads()
    },
    unharmed: ['gone'],
    harmed: [],
  },
  {
    hook: 'onDisconnect',
    kind: 'observeAsync',
    async provoke({ connect }) {
      const victim = await connect({ clientId: 'victim' })
      victim.disconnect()
      await victim.closed
      return goesOn(await connect({ clientId: 'the next' }))
    },
    ...observes,
  },
  {
    hook: 'onClosed',
    kind: 'observe',
    async provoke(broker) {
      const victim = await broker.connect({ clientId: 'victim' })
      victim.disconnect()
      await victim.closed
      await settled()
      return true
    },
    ...observes,
  },
  {
    hook: 'onSessionExpired',
    kind: 'observe',
    async provoke({ connect }) {
      const victim = await connect({ clientId: 'victim', cleanStart: false })
      victim.disconnect()
      await victim.closed
      return goesOn(await connect({ clientId: 'victim', cleanStart: true }))
    },
    ...observes,
  },
  {
    hook: 'onError',
    kind: 'observe',
    async arrange({ hooks }) {
      hooks.onConnected.tap('victim', ({ clientId }) => {
        if (clientId === 'victim') throw new Error('for onError')
      })
    },
    provoke: async ({ connect }) => goesOn(await connect({ clientId: 'victim' })),
    ...observes,
  },
  {
    hook: 'onPacketReceived',
    kind: 'observe',
    arrange: async ({ broker }) => broker.trace('victim'),
    provoke: async ({ connect }) => goesOn(await connect({ clientId: 'victim' })),
    ...observes,
  },
  {
    hook: 'onPacketSent',
    kind: 'observe',
    arrange: async ({ broker }) => broker.trace('victim'),
    provoke: async ({ connect }) => goesOn(await connect({ clientId: 'victim' })),
    ...observes,
  },
]
