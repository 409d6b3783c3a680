import { expect, test } from 'vitest'
import { settled, startBroker } from '../support/broker.ts'
import { keptLog, type LogLine } from '../support/log.ts'

async function started(config: object = {}) {
  const { lines, plugin } = keptLog()
  const kit = await startBroker({ log: false, allowAnonymous: true, plugins: [plugin], ...config })
  const said = (message: string): LogLine[] => lines.filter(line => line.message === message)
  return { ...kit, said }
}

test('the lines of connect and disconnect say who it was, where, and what its session is', async () => {
  const { connect, said, clock } = await started({ brokerId: 'edge-1' })
  const options = {
    clientId: 'meter',
    username: 'anna',
    version: 5 as const,
    keepAlive: 30,
    cleanStart: false,
    properties: { sessionExpiry: 3600 },
  }
  const client = await connect(options)
  clock.advance(5000)
  client.disconnect()
  await client.closed
  await connect(options)
  await connect({ clientId: 'forever', version: 5, properties: { sessionExpiry: 0xffff_ffff } })
  const who = { clientId: 'meter', user: 'anna', address: 'memory', protocol: 'memory', listener: 'test', node: 'edge-1' }
  const all = said('connected').map(({ fields }) => fields)
  expect(all.slice(0, 2)).toEqual([
    { ...who, version: 5, keepAlive: 30, expiry: 3600, sessionPresent: false },
    { ...who, version: 5, keepAlive: 30, expiry: 3600, sessionPresent: true },
  ])
  expect(all[2]).toMatchObject({ clientId: 'forever', expiry: 'never' })
  expect(said('disconnected').map(({ fields }) => fields)).toEqual([{ ...who, reason: 'disconnected', code: 0, by: 'client', seconds: 5 }])
})

test('who speaks TLS or HTTP to a port of MQTT is told apart in the log, in a bounded number of lines', async () => {
  const { open, said } = await started()
  const talk = async (bytes: string | Buffer): Promise<void> => {
    const client = open(4)
    client.stream.write(bytes)
    await client.closed
  }
  await talk(Buffer.from([0x16, 3, 1, 2, 0]))
  const [line] = said('closed before CONNECT')
  expect(line).toMatchObject({
    level: 'info',
    fields: { address: 'memory', listener: 'test', reason: expect.stringContaining('TLS by its look') },
  })
  for (let i = 0; i < 50; i++) await talk('GET / HTTP/1.1\r\n\r\n')
  expect(said('closed before CONNECT').filter(({ level }) => level === 'info')).toHaveLength(1)
})

test.each([
  ['GET / HTTP/1.1\r\n', 'HTTP by its look'],
  ['POST /api HTTP/1.1\r\n', 'HTTP by its look'],
  ['\u0016\u0003\u0001', 'TLS by its look'],
  ['0\u0002ab', 'something else than CONNECT came first'],
])('what is said of %j', async (bytes, what) => {
  const { open, said } = await started()
  const client = open(4)
  client.stream.write(Buffer.from(bytes, 'latin1'))
  await client.closed
  expect(said('closed before CONNECT').map(({ fields }) => fields.reason)).toEqual([expect.stringContaining(what)])
})

test('two devices with one client id are noticed: one line, and counted', async () => {
  const { connect, said, broker, clock } = await started({ admin: { socket: false } })
  for (let i = 0; i < 6; i++) await connect({ clientId: 'twin' })
  await settled()
  clock.advance(11_000)
  const lines = said('connections with this client id throw one another out; give each device an id of its own')
  expect(lines.map(({ level, fields }) => [level, fields.clientId])).toEqual([
    ['warn', 'twin'],
    ['warn', 'twin'],
  ])
  const figure = [...broker.figures].find(({ name }) => name === 'client_takeovers_total')!
  expect(figure.read()).toEqual([{ value: 5 }])
  // A device whose network fails now and then is none of these.
  for (let i = 0; i < 3; i++) {
    await connect({ clientId: 'roaming' })
    clock.advance(120_000)
  }
  expect(said(lines[0]!.message).filter(({ fields }) => fields.clientId === 'roaming')).toEqual([])
})
