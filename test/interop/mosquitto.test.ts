import { describe, expect, test } from 'vitest'
import { Mosquitto, publish, startOnSocket, subscribe } from './mosquitto.ts'

/** mosquitto's own clients, which share no code with this broker, in both protocol versions. */
describe.each(['mqttv311', 'mqttv5'])('mosquitto’s clients in %s', version => {
  const v = ['-V', version]

  test.each(['0', '1', '2'])('publish and subscribe at QoS %s', async qos => {
    const broker = await startOnSocket()
    const reader = await subscribe(broker, ...v, '-t', 'a/b', '-q', qos, '-F', '%t %q %p')
    await publish(broker, ...v, '-t', 'a/b', '-q', qos, '-m', 'hello')
    expect(await reader.printed(1)).toEqual([`a/b ${qos} hello`])
  })

  test('subscribe with wildcards, and are not sent what does not match', async () => {
    const broker = await startOnSocket()
    const reader = await subscribe(broker, ...v, '-t', 'home/+/temp', '-t', 'garden/#')
    for (const topic of ['home/kitchen', 'home/kitchen/temp', 'home/kitchen/temp/max', 'garden', 'garden/pond/level'])
      await publish(broker, ...v, '-t', topic, '-m', 'x', '-q', '1')
    await publish(broker, ...v, '-t', 'garden/last', '-m', 'x', '-q', '1')
    expect(await reader.printed(4)).toEqual(['home/kitchen/temp x', 'garden x', 'garden/pond/level x', 'garden/last x'])
  })

  test('get retained messages, and none after they were cleared', async () => {
    const broker = await startOnSocket()
    await publish(broker, ...v, '-t', 'state/a', '-m', 'on', '-r', '-q', '1')
    await publish(broker, ...v, '-t', 'state/b', '-m', 'off', '-r', '-q', '1')
    const first = await subscribe(broker, ...v, '-t', 'state/#', '-F', '%t %r %p')
    expect([...(await first.printed(2))].sort()).toEqual(['state/a 1 on', 'state/b 1 off'])
    await publish(broker, ...v, '-t', 'state/a', '-n', '-r', '-q', '1')
    const second = await subscribe(broker, ...v, '-t', 'state/#', '-F', '%t %r %p')
    expect(await second.printed(1)).toEqual(['state/b 1 off'])
  })

  test('leave a will when they are killed, and none when they go in good order', async () => {
    const broker = await startOnSocket()
    const watcher = await subscribe(broker, ...v, '-t', 'wills/#', '-q', '1')
    const will = (name: string) => ['--will-topic', `wills/${name}`, '--will-payload', 'gone', '--will-qos', '1']
    // One message is enough for it: then it disconnects by itself.
    const orderly = await subscribe(broker, ...v, '-t', 'enough', '-C', '1', ...will('orderly'))
    await publish(broker, ...v, '-t', 'enough', '-m', '.')
    expect(await orderly.ended()).toBe(0)
    const killed = await subscribe(broker, ...v, '-t', 'x', ...will('killed'))
    await killed.kill()
    expect(await watcher.printed(1)).toEqual(['wills/killed gone'])
    await publish(broker, ...v, '-t', 'wills/end', '-m', '.', '-q', '1')
    expect(await watcher.printed(2)).toEqual(['wills/killed gone', 'wills/end .'])
  })

  test('resume a session and get what was published meanwhile, in order', async () => {
    const broker = await startOnSocket()
    const session = [...v, '-i', 'resumed', '-c', '-q', '2', '-t', 'jobs/#']
    if (version === 'mqttv5') session.push('-x', '3600')
    const before = await subscribe(broker, ...session)
    const gone = new Promise<void>(resolve => broker.hooks.onDisconnect.tap('test', () => resolve()))
    await before.kill()
    await gone
    for (let i = 0; i < 20; i++) await publish(broker, ...v, '-t', `jobs/${i}`, '-m', `${i}`, '-q', '2')
    const after = new Mosquitto('mosquitto_sub', broker, ['-F', '%t %p', ...session])
    expect(await after.printed(20)).toEqual(Array.from({ length: 20 }, (_, i) => `jobs/${i} ${i}`))
  })

  test('share a subscription: each message goes to one of them', async () => {
    const broker = await startOnSocket()
    const members = [
      await subscribe(broker, ...v, '-t', '$share/group/work/#', '-q', '1'),
      await subscribe(broker, ...v, '-t', '$share/group/work/#', '-q', '1'),
    ]
    for (let i = 0; i < 10; i++) await publish(broker, ...v, '-t', `work/${i}`, '-m', `${i}`, '-q', '1')
    const halves = await Promise.all(members.map(member => member.printed(5)))
    expect(halves.map(lines => lines.length)).toEqual([5, 5])
    expect(halves.flat().sort()).toEqual(Array.from({ length: 10 }, (_, i) => `work/${i} ${i}`))
  })

  test('ask for the number of connections', async () => {
    const broker = await startOnSocket({ sysTopic: {} })
    const reader = await subscribe(broker, ...v, '-t', '$SYS/broker/activeConnectCount', '-F', '%t %r %p')
    expect(await reader.printed(1)).toEqual(['$SYS/broker/activeConnectCount 0 {"activeConnectCount":1}'])
  })

  test('publish what fits an argument', async () => {
    const broker = await startOnSocket()
    const reader = await subscribe(broker, ...v, '-t', 'large', '-q', '1', '-F', '%l')
    await publish(broker, ...v, '-t', 'large', '-q', '1', '-m', 'x'.repeat(100_000))
    expect(await reader.printed(1)).toEqual(['100000'])
  })
})

test('mosquitto’s request and response clients find each other by response topic and correlation data', async () => {
  const broker = await startOnSocket()
  const asked = new Promise<void>(resolve => {
    broker.hooks.onPublish.tap('answering', (_publisher, message) => {
      const { properties } = message
      if (message.topic !== 'questions' || properties?.responseTopic === undefined) return
      void broker.publish({
        topic: properties.responseTopic,
        payload: 'forty-two',
        properties: { correlationData: properties.correlationData! },
      })
      resolve()
    })
  })
  const client = new Mosquitto('mosquitto_rr', broker, ['-V', '5', '-t', 'questions', '-e', 'answers/1', '-m', 'why?', '-F', '%p'])
  await asked
  expect(await client.printed(1)).toEqual(['forty-two'])
})
