import { describe, expect, test } from 'vitest'
import { folderWith } from '../config/folder.ts'
import { departure, Mosquitto, publish, startOnSocket, subscribe } from './mosquitto.ts'

/** mosquitto's own clients, which share no code with this broker, in every protocol version. */
describe.each(['mqttv31', 'mqttv311', 'mqttv5'])('mosquitto’s clients in %s', version => {
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
    const gone = departure(broker, 'resumed')
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

  test('publish a mebibyte', async () => {
    const broker = await startOnSocket()
    const folder = await folderWith({ large: 'x'.repeat(1_048_576) })
    const reader = await subscribe(broker, ...v, '-t', 'large', '-q', '1', '-F', '%l')
    await publish(broker, ...v, '-t', 'large', '-q', '1', '-f', `${folder}/large`)
    expect(await reader.printed(1)).toEqual(['1048576'])
  })
})

test('mosquitto’s clients have their properties passed on, retained ones too', async () => {
  const broker = await startOnSocket()
  const properties = {
    'content-type': 'text/plain',
    'response-topic': 'answers/1',
    'correlation-data': 'c-7',
    'payload-format-indicator': '1',
  }
  const given = Object.entries(properties).flatMap(([name, value]) => ['-D', 'publish', name, value])
  given.push('-D', 'publish', 'user-property', 'unit', '°C', '-D', 'publish', 'user-property', 'unit', 'again')
  const shown = ['-V', '5', '-t', 'a', '-q', '1', '-F', '%r|%C|%R|%D|%F|%P|%S', '-D', 'subscribe', 'subscription-identifier', '7']
  const live = await subscribe(broker, ...shown)
  await publish(broker, '-V', '5', '-t', 'a', '-m', 'x', '-q', '1', '-r', ...given)
  expect(await live.printed(1)).toEqual(['0|text/plain|answers/1|c-7|1|unit:°C unit:again|7'])
  const late = await subscribe(broker, ...shown)
  expect(await late.printed(1)).toEqual(['1|text/plain|answers/1|c-7|1|unit:°C unit:again|7'])
})

test('all versions share one subscription, and see one another’s retained messages and wills', async () => {
  const broker = await startOnSocket()
  const versions = ['mqttv31', 'mqttv311', 'mqttv5']
  const members = []
  for (const version of versions) members.push(await subscribe(broker, '-V', version, '-t', '$share/g/work', '-q', '1', '-F', '%p'))
  for (let i = 0; i < 9; i++) await publish(broker, '-V', versions[i % 2]!, '-t', 'work', '-m', `${i}`, '-q', '1')
  const thirds = await Promise.all(members.map(member => member.printed(3)))
  expect(thirds.flat().sort()).toEqual(Array.from({ length: 9 }, (_, i) => `${i}`))

  for (const version of versions) {
    const will = ['--will-topic', `state/${version}`, '--will-payload', 'gone', '--will-retain', '--will-qos', '1']
    const gone = departure(broker, version)
    await (await subscribe(broker, '-V', version, '-i', version, '-t', 'x', ...will)).kill()
    await gone
  }
  for (const version of versions) {
    const reader = await subscribe(broker, '-V', version, '-t', 'state/#', '-F', '%t %r %p')
    expect((await reader.printed(3)).toSorted()).toEqual(versions.map(name => `state/${name} 1 gone`))
  }
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
