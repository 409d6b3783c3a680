import { join } from 'node:path'
import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { hashPassword } from '../../plugins/kit/password-hash.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { commandLine } from '../config/command-line.ts'
import { folderWith } from '../config/folder.ts'
import { Command } from '../process/command.ts'
import { says, startAuthServer } from '../support/auth-server.ts'
import { startBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'
import { openOn } from './open-on.ts'

// Goal: no password ever stands in a log. Method: a broker of its own at level `trace`, with a plugin that logs whatever it is handed,
// is connected to with right and wrong passwords, by every way of authentication, while the service behind it works and fails.

const built = beforeAllBuilt()

const spy = `
export default {
  name: 'spy',
  apply({ hooks, log }) {
    hooks.onPacketReceived.tap('spy', (client, packet) => log.info({ packet }, 'spied'))
    hooks.onAuth.tap('spy', (_client, auth) => {
      if (String(auth.properties.authenticationData).startsWith('sesame')) return { admission: {}, data: Buffer.from('challenge') }
      throw new Error('no such secret')
    })
    hooks.onError.tap('spy', error => log.info({ error: String(error) }, 'failed'))
  },
}`

test('passwords stand in no log line, whatever is traced and whatever fails', async () => {
  let answer = says(200)
  const service = await startAuthServer(response => answer(response))
  const folder = await folderWith({ 'spy.js': spy, users: `alice:${await hashPassword('wonderland-1')}\n` })
  const broker = new Command(built.path('presets/bin.js'), folder, [
    ...['--preset', 'test', '--port', '0', '--set', 'log.level=trace', '--set', 'log.format=json'],
    ...['--set', `authFile.path=${join(folder, 'users')}`, '--set', 'authFile.unknownUsers=pass'],
    ...['--set', `authHttp.url=${service.url}`, '--set', 'authHttp.headers={"authorization":"Bearer key-to-the-service"}'],
    ...['--set', 'plugins=["./spy.js"]'],
  ])
  await broker.line(/ready/)
  const port = Number(/:(\d+)"/.exec((await broker.line(/listening on [^"]*:(\d+)"/))[0])![1])

  const secrets = ['wonderland-1', 'wrong-password-2', 'service-password-3', 'in-vain-password-4', 'sesame-5', 'open-barley-6']
  const attempt = async (username: string, password: string, version: 3 | 4 | 5 = 5) => {
    const client = await openOn(port, version)
    client.send(connectPacket({ version, username, password }))
    return (await client.next<never>(PacketType.Connack as never)) as { reasonCode: number }
  }
  expect((await attempt('alice', secrets[0]!)).reasonCode).toBe(0)
  expect((await attempt('alice', secrets[1]!, 4)).reasonCode).toBe(4)
  expect((await attempt('bob', secrets[2]!, 3)).reasonCode).toBe(0)
  answer = response => response.end('<html>in-vain-password-4</html>')
  expect((await attempt('bob', secrets[3]!)).reasonCode).toBe(0x88)
  answer = response => response.destroy()
  expect((await attempt('bob', secrets[3]!)).reasonCode).toBe(0x88)
  for (const [secret, reasonCode] of [
    [secrets[4]!, 0],
    [secrets[5]!, 0x83],
  ] as const) {
    const client = await openOn(port, 5)
    const properties = { authenticationMethod: 'M', authenticationData: Buffer.from(secret) }
    expect(await client.connect({ version: 5, properties })).toMatchObject({ reasonCode })
  }
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)

  const said = [...broker.out, ...broker.errors].join('\n')
  expect(said).toContain('spied')
  expect(said).toContain('no such secret')
  expect(said).toContain('the authentication service fails')
  for (const secret of [...secrets, 'key-to-the-service']) {
    const bytes = Buffer.from(secret)
    for (const form of [secret, bytes.toString('base64').slice(0, -3), bytes.toString('hex'), [...bytes].join(',')])
      expect(said).not.toContain(form)
  }
})

test('a trace shows that there is a password, and that there is none', async () => {
  const { broker, hooks, connect } = await startBroker()
  const passwords: unknown[] = []
  broker.trace(true)
  hooks.onPacketReceived.tap('test', (_client, packet) => {
    if (packet.type === PacketType.Connect) passwords.push(packet.password?.toString())
  })
  await connect({ username: 'u', password: 'secret' })
  await connect()
  expect(passwords).toEqual(['***', undefined])
})

test.each([
  ['a password with / in redis.url', ['--set', 'redis.url=redis://me:hun/ter2@127.0.0.1:1/0']],
  ['a password with @ in redis.url', ['--set', 'redis.url=redis://me:hun@ter2@127.0.0.1:1']],
  ['a URL without its scheme', ['--set', 'redis.url=me:hun-ter2@127.0.0.1:1']],
  ['a URL in redis.nodes', ['--set', 'redis.nodes=["redis://me:hun-ter2@127.0.0.1:1"]']],
  ['a login in redis.nodes', ['--set', 'redis.nodes=["me:hun-ter2@127.0.0.1:1"]']],
  ['a login in redis.sentinels', ['--set', 'redis.sentinels=["me:hun-ter2@127.0.0.1:1"]']],
  ['a password with % in redis.url', ['--set', 'redis.url=redis://me:hun%ter2@127.0.0.1:1']],
  ['headers that are no JSON', ['--set', 'authHttp.url=http://127.0.0.1:1/', '--set', 'authHttp.headers=Bearer hun-ter2']],
  ['a list in place of a section', ['--set', 'authHttp=[{"headers":{"x-key":"hun-ter2"}}]']],
])('%s is shown neither by check nor by a start that fails', async (_what, given) => {
  const folder = await folderWith({})
  const common = ['--preset', 'dev', '--port', '0', '--set', 'redis.connectTimeout=200ms', ...given]
  const said: string[] = []
  for (const command of [['check'], ['check', '--connect']]) {
    const { out, errors } = await commandLine(folder, [...command, ...common])
    said.push(...out, ...errors)
  }
  const broker = new Command(built.path('presets/bin.js'), folder, common)
  const ended = broker.ended()
  // A broker whose Redis is away may wait for it.
  await Promise.race([ended, broker.line(/redis/i).catch(() => {})])
  broker.signal('SIGTERM')
  await ended
  said.push(...broker.out, ...broker.errors)
  expect(said.length).toBeGreaterThan(0)
  expect(said.join('\n')).not.toMatch(/hun.?ter2|ter2/)
})
