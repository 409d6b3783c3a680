import { createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { Mosquitto, publish, startOnSocket, subscribe } from '../interop/mosquitto.ts'
import { says, startAuthServer } from '../support/auth-server.ts'
import { settled, startBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'
import { keptLog } from '../support/log.ts'

// Goal: the contract of the Java mqttx with its authentication service, against a real HTTP server.

const { BadUserNameOrPassword, ServerUnavailable, ServerBusy } = ReasonCode
const everything = JSON.stringify({ authorizedSub: ['in/#'], authorizedPub: ['out/#'] })

/** What CONNACK says in 3.1.1 and in MQTT 5. */
async function connacks(url: string, authHttp: object = {}) {
  const { open, broker } = await startBroker({ authHttp: { url, ...authHttp } })
  const codes: number[] = []
  for (const version of [4, 5] as const) {
    codes.push((await open(version).connect({ clientId: `c${version}`, username: 'u', password: 'p' })).reasonCode)
  }
  return { codes, broker }
}

describe('the answer of the service is CONNACK', () => {
  test('200 with rights: admitted, with these rights', async () => {
    const { url } = await startAuthServer(says(200, everything))
    const { codes, broker } = await connacks(url)
    expect(codes).toEqual([0, 0])
    expect(broker.clientOf('c4')?.rights).toEqual({ authorizedSub: ['in/#'], authorizedPub: ['out/#'] })
  })

  test.each([['' as string], [' \n'], ['{}'], ['{"authorizedSub":null,"authorizedPub":null}'], ['{"unknown":1}']])(
    '200 with %j: admitted without rights',
    async body => {
      const { url } = await startAuthServer(says(200, body))
      const { codes, broker } = await connacks(url)
      expect(codes).toEqual([0, 0])
      expect(broker.clientOf('c5')?.rights).toEqual({})
    },
  )

  test.each([401, 403, 404, 500, 503, 302, 204, 201])('status %i: 4, and 0x86', async status => {
    const { url } = await startAuthServer(says(status))
    expect((await connacks(url)).codes).toEqual([4, BadUserNameOrPassword])
  })

  test.each([
    ['<html>welcome</html>'],
    ['{"authorizedSub":["a"'],
    ['[]'],
    ['null'],
    ['"yes"'],
    ['{"authorizedSub":"a/#"}'],
    ['{"authorizedSub":[1]}'],
    ['{"authorizedPub":["a/#/b"]}'],
    [`{"authorizedPub":${'['.repeat(300_000)}${']'.repeat(300_000)}}`],
  ])('200 with %.60j: 3, and 0x88', async body => {
    const { url } = await startAuthServer(says(200, body))
    expect((await connacks(url)).codes).toEqual([3, ServerUnavailable])
  })

  test('a body that does not end at a mebibyte: 3, and 0x88', async () => {
    const { url } = await startAuthServer(response => {
      response.writeHead(200)
      response.end(`{"authorizedSub":["${'a'.repeat(1_100_000)}"]}`)
    })
    expect((await connacks(url)).codes).toEqual([3, ServerUnavailable])
  })

  test('no server at that address: 3, and 0x88', async () => {
    const { url, close } = await startAuthServer(says(200))
    await close()
    expect((await connacks(url)).codes).toEqual([3, ServerUnavailable])
  })

  test('a server that hangs up: 3, and 0x88', async () => {
    const { url } = await startAuthServer(response => response.destroy())
    expect((await connacks(url)).codes).toEqual([3, ServerUnavailable])
  })

  test('a server that speaks no HTTP: 3, and 0x88', async () => {
    const sockets = new Set<Socket>()
    const server = createServer(socket => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.end('220 mail.example.com ESMTP\r\n')
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const { port } = server.address() as { port: number }
    expect((await connacks(`http://127.0.0.1:${port}/`)).codes).toEqual([3, ServerUnavailable])
  })

  test.each([4, 5] as const)('no answer within 3 s, where nothing else is said: 3, and 0x88 (protocol level %i)', async version => {
    const server = await startAuthServer(() => {})
    const { open, advance } = await startBroker({ authHttp: { url: server.url } })
    const client = open(version)
    client.send(connectPacket({ version, username: 'u', password: 'p' }))
    await server.asked(1)
    await advance(2999)
    expect(client.heard).toEqual([])
    await advance(1)
    await client.closed
    expect(client.heard).toMatchObject([{ reasonCode: version === 5 ? ServerUnavailable : 3 }])
  })

  test('an answer whose body stops half-way is as none', async () => {
    const server = await startAuthServer(response => {
      response.writeHead(200)
      response.write('{"authorizedSub":[')
    })
    const { open, advance } = await startBroker({ authHttp: { url: server.url, timeout: '500ms' } })
    const client = open(5)
    client.send(connectPacket({ version: 5, username: 'u' }))
    await server.asked(1)
    await advance(500)
    await client.closed
    expect(client.heard).toMatchObject([{ reasonCode: ServerUnavailable }])
  })
})

describe('the question', () => {
  test('is a POST of exactly client id, user name and password, as JSON', async () => {
    const server = await startAuthServer(says(200))
    const { open } = await startBroker({ authHttp: { url: server.url } })
    await open().connect({ clientId: 'meter-7', username: 'ännchen', password: 'päss "w\\ord"' })
    expect(server.questions).toMatchObject([{ method: 'POST', path: '/mqtt/auth', headers: { 'content-type': 'application/json' } }])
    expect(server.questions[0]!.text).toBe(JSON.stringify({ clientId: 'meter-7', username: 'ännchen', password: 'päss "w\\ord"' }))
  })

  test('is asked about a client without a user name too, with nulls', async () => {
    const server = await startAuthServer(says(200))
    const { open } = await startBroker({ authHttp: { url: server.url }, allowAnonymous: true })
    expect((await open().connect({ clientId: 'a' })).reasonCode).toBe(0)
    expect(server.questions[0]!.text).toBe('{"clientId":"a","username":null,"password":null}')
  })

  test('names the client id that the broker gave', async () => {
    const server = await startAuthServer(says(200))
    const { open } = await startBroker({ authHttp: { url: server.url } })
    const { properties } = await open(5).connect({ version: 5, clientId: '' })
    expect(JSON.parse(server.questions[0]!.text)).toMatchObject({ clientId: properties!.assignedClientId })
  })

  test('carries names that try to write JSON, headers or prototypes as what they are', async () => {
    const server = await startAuthServer(says(200))
    const { open } = await startBroker({ authHttp: { url: server.url } })
    const hostile = [
      '__proto__',
      'constructor',
      'a","admin":true,"x":"',
      'a\r\nX-Admin: 1\r\n\r\nGET /',
      '{jndi:x}',
      '\u2028',
      'a'.repeat(40_000),
    ]
    for (const name of hostile) await open().connect({ clientId: name, username: name, password: name })
    expect(server.questions.map(({ text }) => JSON.parse(text))).toEqual(
      hostile.map(name => ({ clientId: name, username: name, password: name })),
    )
    for (const { headers } of server.questions) expect(headers).not.toHaveProperty('x-admin')
    expect(({} as Record<string, unknown>).admin).toBeUndefined()
  })

  test('is not asked where the password is no text: it is refused, for many passwords would become the same', async () => {
    const server = await startAuthServer(says(200))
    const { open } = await startBroker({ authHttp: { url: server.url } })
    const client = open(5)
    client.send({ ...connectPacket({ version: 5, username: 'u' }), password: Buffer.from([0xff, 0xfe]) })
    await client.closed
    expect(client.heard).toMatchObject([{ reasonCode: BadUserNameOrPassword }])
    expect(server.questions).toEqual([])
  })

  test('carries the headers that the option names', async () => {
    const server = await startAuthServer(says(200))
    const { open } = await startBroker({ authHttp: { url: server.url, headers: { authorization: 'Bearer key' } } })
    await open().connect()
    expect(server.questions[0]!.headers.authorization).toBe('Bearer key')
  })
})

describe('connections to the service', () => {
  test('stay open for the next question', async () => {
    const server = await startAuthServer(says(401))
    const { open } = await startBroker({ authHttp: { url: server.url } })
    for (let i = 0; i < 5; i++) await open().connect()
    expect(server.connections()).toBe(1)
  })

  test('that the service has closed while they idled are no trouble', async () => {
    const seen = new Set<object>()
    const server = await startAuthServer((response, question) => {
      const { socket } = response
      // The second question on a connection is met by its end, as if both had crossed.
      if (question.text.includes('second') && socket !== null && seen.has(socket)) {
        socket.destroy()
        return
      }
      if (socket !== null) seen.add(socket)
      says(200)(response)
    })
    const { open } = await startBroker({ authHttp: { url: server.url } })
    expect((await open().connect({ clientId: 'first' })).reasonCode).toBe(0)
    expect((await open().connect({ clientId: 'second' })).reasonCode).toBe(0)
    expect(server.connections()).toBe(2)
  })

  test('are bounded, and so is the line of those who wait for one', async () => {
    const held: (() => void)[] = []
    const server = await startAuthServer(response => held.push(() => says(200)(response)))
    const { open } = await startBroker({ authHttp: { url: server.url, concurrent: 2, waiting: 1 } })
    const clients = ['a', 'b', 'c', 'd'].map(clientId => ({ clientId, client: open(5) }))
    for (const { clientId, client } of clients) client.send(connectPacket({ version: 5, clientId }))
    const [, , , fourth] = clients
    await fourth!.client.closed
    expect(fourth!.client.heard).toMatchObject([{ reasonCode: ServerBusy }])
    await server.asked(2)
    await settled()
    expect(server.questions).toHaveLength(2)
    held[0]!()
    await server.asked(3)
    held[1]!()
    held[2]!()
    for (const { client } of clients.slice(0, 3)) expect(await client.next(2)).toMatchObject({ reasonCode: 0 })
    expect(server.connections()).toBe(2)
  })

  test('share the time of a question with the wait for its turn', async () => {
    const server = await startAuthServer(() => {})
    const { open, advance } = await startBroker({ authHttp: { url: server.url, concurrent: 1, timeout: '1s' } })
    const [first, second] = [open(5), open(5)]
    first.send(connectPacket({ version: 5 }))
    second.send(connectPacket({ version: 5 }))
    await server.asked(1)
    await advance(1000)
    await Promise.all([first.closed, second.closed])
    for (const { heard } of [first, second]) expect(heard).toMatchObject([{ reasonCode: ServerUnavailable }])
    expect(server.questions).toHaveLength(1)
  })
})

describe('cache', () => {
  test('is off by default', async () => {
    const server = await startAuthServer(says(200))
    const { open } = await startBroker({ authHttp: { url: server.url } })
    for (let i = 0; i < 2; i++) await open().connect({ clientId: 'a', username: 'u', password: 'p' })
    expect(server.questions).toHaveLength(2)
  })

  test('answers the same question again until its time is over, and no other', async () => {
    const server = await startAuthServer(says(200, everything))
    const { open, advance, broker } = await startBroker({ authHttp: { url: server.url, cache: '10s' } })
    const ask = (password: string, clientId = 'a') => open().connect({ clientId, username: 'u', password })
    await ask('p')
    await ask('p')
    expect(server.questions).toHaveLength(1)
    expect(broker.clientOf('a')?.rights).toMatchObject({ authorizedSub: ['in/#'] })
    await ask('q')
    await ask('p', 'b')
    expect(server.questions).toHaveLength(3)
    await advance(10_000)
    await ask('p')
    expect(server.questions).toHaveLength(4)
  })

  test('keeps no refusals, and no more admissions than it may', async () => {
    let status = 401
    const server = await startAuthServer(response => says(status)(response))
    const { open } = await startBroker({ authHttp: { url: server.url, cache: '10s', cacheMax: 1 } })
    await open().connect({ clientId: 'a' })
    status = 200
    expect((await open().connect({ clientId: 'a' })).reasonCode).toBe(0)
    await open().connect({ clientId: 'b' })
    await open().connect({ clientId: 'a' })
    expect(server.questions).toHaveLength(4)
  })
})

test('trouble is one warning, and one line when it is over, however many clients come', async () => {
  let status = 500
  const server = await startAuthServer(response => says(status)(response))
  const { lines, plugin } = keptLog()
  const { open } = await startBroker({ authHttp: { url: server.url }, log: false, plugins: [plugin] })
  for (let i = 0; i < 20; i++) await open().connect({ clientId: `c${i}` })
  status = 200
  await open().connect()
  const said = lines.filter(({ message }) => message.includes('authentication service'))
  expect(said.map(({ level, message }) => `${level}: ${message}`)).toEqual([
    'warn: the authentication service fails: status 500',
    'info: the authentication service answers again, after 0 s',
  ])
})

test('a timeout that mqtt.verdictTimeout would cut off is refused at start', async () => {
  const started = startBroker({ authHttp: { url: 'http://127.0.0.1:1/', timeout: '5s' } })
  await expect(started).rejects.toThrow('authHttp.timeout: 5s is not shorter than mqtt.verdictTimeout (5s)')
})

test('mosquitto’s clients come in with user name and password, and do what their rights say', async () => {
  const server = await startAuthServer((response, { text }) => {
    const { username, password } = JSON.parse(text) as Record<string, unknown>
    const rights = username === 'reader' ? { authorizedSub: ['out/#'] } : { authorizedPub: ['out/#'] }
    if (password === 'secret') says(200, JSON.stringify(rights))(response)
    else says(401)(response)
  })
  const broker = await startOnSocket({ authHttp: { url: server.url }, enableTopicSubPubSecure: true })
  const reader = await subscribe(broker, '-u', 'reader', '-P', 'secret', '-t', 'out/#', '-q', '1')
  const writer = ['-u', 'writer', '-P', 'secret', '-q', '1']
  await publish(broker, ...writer, '-t', 'elsewhere', '-m', 'not allowed')
  await publish(broker, ...writer, '-t', 'out/a', '-m', 'allowed')
  expect(await reader.printed(1)).toEqual(['out/a allowed'])
  expect(await new Mosquitto('mosquitto_pub', broker, ['-u', 'writer', '-P', 'wrong', '-t', 'out/a', '-m', 'x']).ended()).not.toBe(0)
})
