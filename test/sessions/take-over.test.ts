import { expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { settled, startBroker } from '../support/broker.ts'
import { onLaterStore } from '../support/later-store.ts'

const stores = [
  ['in memory', {}],
  ['that answers later', onLaterStore()],
] as const

test.each(stores)('a storm of fifty connections by one client id leaves exactly one, on a store %s', async (_name, config) => {
  const { open, broker, hooks } = await startBroker(config)
  let departures = 0
  hooks.onDisconnect.tap('test', () => void (departures += 1))
  const clients = Array.from({ length: 50 }, () => open(5))
  const options = { version: 5, clientId: 'same', cleanStart: false, properties: { sessionExpiry: 100 } } as const
  await Promise.allSettled(clients.map(client => client.connect(options)))
  await settled()
  const living = clients.filter(client => !client.isClosed)
  expect(living).toEqual([clients.at(-1)])
  expect(broker.clients.size).toBe(1)
  expect(broker.roster.size).toBe(1)
  // Whoever had got its CONNACK is told why it has to go.
  const told = await Promise.all(clients.slice(0, -1).map(client => client.ended()))
  for (const disconnect of told) if (disconnect !== undefined) expect(disconnect.reasonCode).toBe(ReasonCode.SessionTakenOver)
  expect(departures).toBe(49)
  expect(await living[0]!.subscribe('a', 1)).toEqual([1])
  await broker.publish({ topic: 'a', payload: 'x', qos: 1 })
  expect((await living[0]!.receive()).payload.toString()).toBe('x')
})

test('the end of the old connection, however late it comes, does not touch the new one', async () => {
  const { open, connect, broker } = await startBroker()
  const old = await connect({ clientId: 'same' })
  // It reads nothing any more, so that its stream cannot end.
  old.stream.pause()
  const young = open()
  await young.connect({ clientId: 'same' })
  expect(await young.subscribe('a', 0)).toEqual([0])
  old.stream.destroy()
  await settled()
  expect(broker.clientOf('same')?.closed).toBe(false)
  await broker.publish({ topic: 'a', payload: 'x' })
  expect((await young.receive()).payload.toString()).toBe('x')
})
