import { duplexPair } from 'node:stream'
import { describe, expect, test } from 'vitest'
import type { PluginContext } from '../../core/context.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Admission, Refusal } from '../../core/refusals.ts'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'
import { AttemptGate } from '../../plugins/limits/attempt-gate.ts'
import type { Config } from '../../presets/index.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { connectPacket, TestClient } from '../support/client.ts'
import { keptLog } from '../support/log.ts'

// Goal: whoever guesses passwords of a user gets ten guesses a minute at full speed and then one a second; whoever tries many names a hundred, and then five
// a second. Nobody at another address notices, nobody under another name, and nobody whose password was right there before.

const { BadUserNameOrPassword, ConnectionRateExceeded, NotAuthorized, ServerUnavailable } = ReasonCode

/** One client from that address, which has sent its CONNECT. */
function attempt({ running }: TestBroker, address: string, password: string, username = 'u'): TestClient {
  const [ours, theirs] = duplexPair()
  ours.on('close', () => theirs.destroy())
  const transport = new StreamTransport(theirs, { protocol: 'memory', listener: 'test', remoteAddress: address })
  transport.listen(running.accept(transport)!)
  const client = new TestClient(ours, 5)
  client.send(connectPacket({ version: 5, username, password }))
  return client
}

async function start(config: Config = {}) {
  const broker = await startBroker(config)
  const asked: string[] = []
  broker.hooks.onAuthenticate.tap('test', (_client, { password }): Admission | Refusal | ReasonCode => {
    asked.push(String(password))
    if (String(password) === 'right') return {}
    if (String(password) === 'trouble') return ServerUnavailable
    if (String(password) === 'blameless') return { reasonCode: NotAuthorized, blameless: true }
    return BadUserNameOrPassword
  })
  const code = async (address: string, password: string, username?: string) =>
    ((await attempt(broker, address, password, username).next(2)) as { reasonCode: number }).reasonCode
  const fail = async (address: string, times: number, username?: string) => {
    for (let i = 0; i < times; i++) expect(await code(address, `guess ${i}`, username)).toBe(BadUserNameOrPassword)
  }
  return { ...broker, asked, code, fail }
}

/** The same, with the gate at hand that plugin limits has to itself. */
async function startWithGate() {
  let gate!: AttemptGate
  const own = { name: 'gate', apply: (context: PluginContext) => void (gate = new AttemptGate(context)) }
  return { ...(await start({ limits: false, plugins: [own] })), gate }
}

describe('failed attempts', () => {
  test('are answered at once ten times, and from the eleventh on one a second is looked at', async () => {
    const broker = await start()
    const { fail, asked, advance } = broker
    await fail('192.0.2.1', 10)
    const more = [attempt(broker, '192.0.2.1', 'a'), attempt(broker, '192.0.2.1', 'b')]
    await settled()
    await advance(999)
    expect(asked).toHaveLength(10)
    await advance(1)
    expect(asked.slice(10)).toEqual(['a'])
    expect(await more[0]!.next(2)).toMatchObject({ reasonCode: BadUserNameOrPassword })
    await advance(1000)
    expect(asked.slice(10)).toEqual(['a', 'b'])
    expect(broker.broker.counters).toMatchObject({ authFailed: 12, authSlowed: 2, authTurnedAway: 0 })
  })

  test('slow right passwords from their address too, which get in when it is their turn', async () => {
    const broker = await start()
    await broker.fail('192.0.2.1', 10)
    const good = attempt(broker, '192.0.2.1', 'right')
    await settled()
    expect(good.heard).toEqual([])
    await broker.advance(1000)
    expect(await good.next(2)).toMatchObject({ reasonCode: 0 })
  })

  test('slow nobody else', async () => {
    const { fail, code } = await start()
    await fail('192.0.2.1', 10)
    await fail('2001:db8::1', 10)
    expect(await code('192.0.2.2', 'right')).toBe(0)
    expect(await code('2001:db8:0:1::1', 'right')).toBe(0)
    expect(await code('::ffff:192.0.2.3', 'right')).toBe(0)
  })

  test('under one name slow that name only: others behind the same address come in, though forty attempts of it wait', async () => {
    const broker = await start()
    await broker.fail('192.0.2.1', 10)
    for (let i = 0; i < 40; i++) attempt(broker, '192.0.2.1', 'guess')
    await settled()
    expect(await broker.code('192.0.2.1', 'right', 'neighbour')).toBe(0)
    expect(await broker.code('192.0.2.1', 'guess', 'another')).toBe(BadUserNameOrPassword)
  })

  test('do not slow whoever comes with the password that was right there before, even under the name that is guessed', async () => {
    const broker = await startWithGate()
    expect(await broker.code('192.0.2.1', 'right')).toBe(0)
    await broker.fail('192.0.2.1', 10)
    for (let i = 0; i < 40; i++) attempt(broker, '192.0.2.1', 'guess')
    await settled()
    const asked = broker.asked.length
    expect(await broker.code('192.0.2.1', 'right')).toBe(0)
    // From elsewhere it is as good as any other.
    await broker.fail('192.0.2.2', 10)
    attempt(broker, '192.0.2.2', 'right')
    await settled()
    expect(broker.asked.slice(asked)).toHaveLength(11)
    expect(broker.gate.proven).toBe(1)
  })

  test('leave a fleet that is proven its turns: fifty are asked side by side, also from an address that is slowed', async () => {
    const broker = await startBroker()
    let answers: (() => void)[] = []
    broker.hooks.onAuthenticate.tapPromise('test', (_client, { password }) => {
      if (String(password) !== 'right') return Promise.resolve(BadUserNameOrPassword)
      return new Promise<Admission>(resolve => void answers.push(() => resolve({})))
    })
    const answer = async (): Promise<number> => {
      const asked = answers
      answers = []
      for (const one of asked) one()
      await settled()
      return asked.length
    }
    const first = attempt(broker, '192.0.2.1', 'right')
    await settled()
    await answer()
    expect(await first.next(2)).toMatchObject({ reasonCode: 0 })
    for (let i = 0; i < 100; i++) await attempt(broker, '192.0.2.1', 'guess', `name ${i}`).next(2)
    const fleet = Array.from({ length: 120 }, () => attempt(broker, '192.0.2.1', 'right'))
    await settled()
    expect([await answer(), await answer(), await answer()]).toEqual([50, 50, 20])
    for (const client of fleet) expect(client.heard[0]).toMatchObject({ reasonCode: 0 })
  })

  test('of many names, a few of each, slow the address: five a second are looked at, but for those who are proven', async () => {
    const broker = await startWithGate()
    expect(await broker.code('192.0.2.1', 'right', 'proven')).toBe(0)
    for (let i = 0; i < 100; i++) await broker.fail('192.0.2.1', 1, `name ${i}`)
    const asked = broker.asked.length
    for (let i = 0; i < 10; i++) attempt(broker, '192.0.2.1', 'guess', `other ${i}`)
    const late = attempt(broker, '192.0.2.1', 'right', 'late')
    await settled()
    expect(broker.asked).toHaveLength(asked)
    expect(await broker.code('192.0.2.1', 'right', 'proven')).toBe(0)
    expect(await broker.code('192.0.2.9', 'right', 'elsewhere')).toBe(0)
    for (let i = 0; i < 11; i++) await broker.advance(200)
    expect(await late.next(2)).toMatchObject({ reasonCode: 0 })
    expect(broker.gate.users).toBeLessThanOrEqual(120)
  })

  test('of names of 65,000 bytes are told apart, each by a hash', async () => {
    const broker = await startWithGate()
    const long = 'n'.repeat(65_000)
    for (let i = 0; i < 50; i++) await broker.code(`10.1.0.${i}`, 'guess', `${long}${i}`)
    expect(broker.gate.users).toBe(50)
  })

  test('are forgotten after a minute', async () => {
    const { fail, code, advance, broker, gate } = await startWithGate()
    await fail('192.0.2.1', 10)
    await advance(60_000)
    expect(await code('192.0.2.1', 'right')).toBe(0)
    expect(broker.counters.authSlowed).toBe(0)
    await settled()
    expect(gate.size).toBe(0)
  })

  test('are not wiped out by one that succeeds: who has one password may still guess others', async () => {
    const broker = await start()
    for (let i = 0; i < 5; i++) {
      await broker.fail('192.0.2.1', 2)
      if (i < 4) expect(await broker.code('192.0.2.1', 'right')).toBe(0)
    }
    attempt(broker, '192.0.2.1', 'guess')
    await settled()
    expect(broker.broker.counters.authSlowed).toBe(1)
  })

  test('are not counted where those who are asked are in trouble', async () => {
    const { code, broker } = await start()
    for (let i = 0; i < 15; i++) expect(await code('192.0.2.1', 'trouble')).toBe(ServerUnavailable)
    for (let i = 0; i < 15; i++) expect(await code('192.0.2.1', 'blameless')).toBe(NotAuthorized)
    expect(broker.counters.authFailed).toBe(0)
    expect(await code('192.0.2.1', 'right')).toBe(0)
  })

  test('are counted together for a network that one customer has to himself', async () => {
    const broker = await start()
    for (let i = 0; i < 10; i++) await broker.fail(`2001:db8:1:2:${i}::${i}`, 1)
    attempt(broker, '2001:db8:1:2:ffff::1', 'guess')
    await settled()
    expect(broker.broker.counters.authSlowed).toBe(1)
    expect(await broker.code('2001:db8:1:3::1', 'right')).toBe(0)
    expect(broker.broker.counters.authSlowed).toBe(1)
  })

  test('make a line of thirty at most; those behind are turned away unasked', async () => {
    const broker = await start()
    await broker.fail('192.0.2.1', 10)
    const clients = Array.from({ length: 40 }, () => attempt(broker, '192.0.2.1', 'guess'))
    await settled()
    for (const client of clients.slice(30)) expect(await client.next(2)).toMatchObject({ reasonCode: ConnectionRateExceeded })
    expect(broker.asked).toHaveLength(10)
    expect(broker.broker.counters.authTurnedAway).toBe(10)
    // Those that have gone do not hold the line.
    for (const client of clients.slice(0, 30)) client.drop()
    await settled()
    const good = attempt(broker, '192.0.2.1', 'right')
    await settled()
    await broker.advance(1000)
    expect(await good.next(2)).toMatchObject({ reasonCode: 0 })
  })

  test('that come side by side are no more than sixty before they are slowed', async () => {
    const broker = await startBroker()
    const answers: (() => void)[] = []
    broker.hooks.onAuthenticate.tapPromise('test', () => new Promise(resolve => answers.push(() => resolve(BadUserNameOrPassword))))
    const clients = Array.from({ length: 200 }, () => attempt(broker, '192.0.2.1', 'guess'))
    await settled()
    expect(answers).toHaveLength(50)
    for (const answer of answers) answer()
    await settled()
    expect(answers.length).toBeLessThanOrEqual(60)
    for (const answer of answers) answer()
    await settled()
    // Thirty wait, all others know.
    expect(clients.filter(({ heard }) => heard.length === 0)).toHaveLength(30)
  })

  test('of more addresses than can be remembered take no more memory', async () => {
    const { code, gate } = await startWithGate()
    for (let i = 0; i < 10_100; i++) await code(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 'guess')
    expect(gate.size).toBeLessThanOrEqual(10_000)
  })

  test('are one warning a minute in the log', async () => {
    const { lines, plugin } = keptLog()
    const broker = await start({ log: false, plugins: [plugin] })
    await broker.fail('192.0.2.1', 10)
    for (let i = 0; i < 5; i++) {
      attempt(broker, '192.0.2.1', 'guess')
      await broker.advance(1000)
    }
    expect(lines.filter(({ message }) => message.includes('slowed'))).toMatchObject([{ fields: { address: '192.0.2.1' }, level: 'warn' }])
  })
})
