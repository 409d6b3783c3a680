import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PacketType } from '../../core/protocol/constants.ts'
import { shownText } from '../../plugins/kit/shown-text.ts'
import type { Question } from '../support/auth-server.ts'
import type { ConnectOptions } from '../support/client.ts'
import { type Attack, end, guest, publishCodes, times } from './target.ts'

const polluting = ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty']

/** Attacks on what belongs to others: their topics, their sessions, their passwords, the service that is asked about them. `bridged`: the headers of messages that Kafka has. */
export function attacksOnOthers(
  questions: readonly Question[],
  bridged: () => Promise<readonly string[]>,
  folder: () => string,
): readonly Attack[] {
  const asked = () => questions.map(({ text }) => JSON.parse(text) as Record<string, unknown>)
  return [
    {
      name: 'publishing to $SYS, to $share and elsewhere where it may not, by will too',
      happens: { publish: [0x87, 0x87, 0x87, 0x87, 0x87], heard: [] },
      async run(target) {
        const watcher = (await target.connect({ username: 'watcher', password: 'watcher' })).client
        await watcher.subscribe(['#', '$SYS/#'])
        const client = await guest(target)
        const publish = await publishCodes(client, ['$SYS/broker/version', '$SYS', '$share/g/guest/x', '$other/x', 'private/x'])
        for (const topic of ['$SYS/broker/uptime', 'private/will']) {
          const dying = await guest(target, { will: { topic, payload: Buffer.from('will') } })
          dying.drop()
          await dying.closed
        }
        // It hears of the broker's own doings, but of nothing that came from here.
        return { publish, heard: (await watcher.payloads()).filter(text => text === 'x' || text === 'will') }
      },
    },
    {
      name: 'shared subscriptions that are none, or to what it may not read',
      happens: { malformed: 'closed with 0x81', denied: [0x87, 0x87, 0x87], before5: [0x80, 0x80, 0x80, 0x80] },
      async run(target) {
        const ends = await times(5, async i => {
          const client = await guest(target)
          const filter = ['$share/', '$share//a', '$share/+/a', '$share/g', '$share/g/'][i]!
          const subscription = { filter, qos: 0 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }
          client.send({ type: PacketType.Subscribe, packetId: 1, subscriptions: [subscription], properties: undefined })
          return end(client)
        })
        const client = await guest(target)
        const denied = await client.subscribe(['$share/g/#', '$share/g/private/x', '$share/guest/+/x'])
        const old = await guest(target, { version: 4 })
        const before5 = await old.subscribe(['$share/', '$share//a', '$share/g', '$share/g/private/#'])
        return { malformed: `closed with ${[...new Set(ends)].join()}`, denied, before5 }
      },
    },
    {
      name: 'user names and client ids that hold wildcards',
      happens: [0x87, 0x87, 0x87, 0x87, 0x87],
      async run(target) {
        const found: number[] = []
        for (const name of ['+', '#', 'victim/#', '+/+', '$SYS']) {
          const { client } = await target.connect({ username: name, password: 'any', clientId: `as ${name}` })
          found.push(...(await client.subscribe(`home/${name === '$SYS' ? 'victim' : name}`)))
          client.disconnect()
        }
        return found
      },
    },
    {
      name: 'names that write JSON, headers and lines of the log',
      happens: { asked: 'as they were sent', headers: 'untouched', log: 'one line for each' },
      async run(target) {
        const names = [
          '","admin":true,"x":"',
          'a\r\nX-Admin: 1\r\n\r\n',
          '\u2028\u2029',
          '{"$ne":null}',
          '%0d%0a',
          '\x1b[2J',
          "' OR 1=1 --",
        ]
        const before = questions.length
        for (const name of names) await target.connect({ clientId: name, username: name, password: name })
        const same =
          JSON.stringify(asked().slice(before)) === JSON.stringify(names.map(name => ({ clientId: name, username: name, password: name })))
        const headers = questions.slice(before).every(question => question.headers['x-admin'] === undefined)
        // Each line of the log is one JSON object, or the target would have thrown.
        await target.line(/^connected$/)
        const logged = target.log.filter(
          ({ clientId, msg }) => msg === 'connected' && names.map(name => shownText(name)).includes(String(clientId)),
        )
        return {
          asked: same ? 'as they were sent' : asked().slice(before),
          headers: headers ? 'untouched' : 'changed',
          log: logged.length === names.length ? 'one line for each' : logged.length,
        }
      },
    },
    {
      name: 'names that mean something to JavaScript: as client id, user name, topic, filter, group, user property, bridged',
      happens: { connect: 0, subscribe: 0, publish: 0, heard: polluting.length, polluted: 'nothing', bridged: [...polluting].sort() },
      async run(target) {
        const results = await times(polluting.length, async i => {
          const name = polluting[i]!
          const { client, connack } = await target.connect({ clientId: name, cleanStart: false, username: name, password: 'any' })
          const topic = `home/${name}/${name}`
          const subscribed = await client.subscribe([topic, `$share/${name}/${topic}`])
          const userProperties: [string, string][] = [[name, name]]
          const published = await client.publish(topic, name, { qos: 1, retain: true, properties: { userProperties } })
          const heard = client.heard.filter(packet => packet.type === PacketType.Publish)
          await client.publish(topic, '', { qos: 1, retain: true })
          return {
            connect: connack.reasonCode,
            subscribe: Math.max(...subscribed),
            publish: published!.reasonCode,
            heard: heard.length >= 2 ? 1 : 0,
          }
        })
        const ordinary = await guest(target)
        const polluted = (await ordinary.subscribe('private/x'))[0] === 0x87 ? 'nothing' : 'rights'
        const sum = (key: 'connect' | 'subscribe' | 'publish' | 'heard') => results.reduce((total, one) => total + one[key], 0)
        return {
          connect: sum('connect'),
          subscribe: sum('subscribe'),
          publish: sum('publish'),
          heard: sum('heard'),
          polluted,
          bridged: await bridged(),
        }
      },
    },
    {
      name: 'a storm of take-overs of one client id',
      happens: { owners: 1, closed: 199 },
      async run(target) {
        const clients = await times(200, () => target.open())
        const connect = { version: 5, clientId: 'mine', username: 'guest', password: 'guest' } as const
        // Those that are taken over before their CONNACK are just closed.
        await Promise.all(clients.map(client => client.connect(connect).catch(() => null)))
        const answers = await Promise.allSettled(clients.map(client => client.rest()))
        const owners = answers.filter(({ status }) => status === 'fulfilled').length
        return { owners, closed: answers.length - owners }
      },
    },
    {
      name: 'the session of somebody else, by its client id',
      happens: { codes: [0x85, 0x85, 0x85, 2, 2], present: true, heard: ['secret', 'secret'], will: ['late'] },
      async run(target) {
        const owner = { username: 'victim', password: 'any' }
        const lasting = { clientId: 'victim-1', cleanStart: false, properties: { sessionExpiry: 60 } }
        const will = { topic: 'home/victim/will', payload: Buffer.from('late'), properties: { willDelay: 1 } }
        const writer = (await target.connect(owner)).client
        await writer.subscribe('home/victim/will', 1)
        const { client } = await target.connect({ ...lasting, ...owner, will })
        await client.subscribe('home/victim/secret', 1)
        client.drop()
        await client.closed
        await writer.publish('home/victim/secret', 'secret', { qos: 1 })
        const codes: number[] = []
        for (const version of [5, 4] as const) {
          for (const cleanStart of [true, false]) {
            // A thief that ends the session, and one that leaves a will of its own in place of the other.
            const thief = {
              ...lasting,
              version,
              cleanStart,
              will: { topic: 'guest/x' },
              ...(version === 4 ? { properties: undefined } : {}),
            }
            codes.push((await target.connect(thief as ConnectOptions)).connack.reasonCode)
          }
          if (version === 5) codes.push((await target.connect({ clientId: 'victim-1', cleanStart: true })).connack.reasonCode)
        }
        await writer.publish('home/victim/secret', 'secret', { qos: 1 })
        const late = String((await writer.receive()).payload)
        const { client: back, connack } = await target.connect({ ...lasting, ...owner })
        const heard = [String((await back.receive()).payload), String((await back.receive()).payload)]
        back.disconnect(0, { sessionExpiry: 0 })
        return { codes, present: connack.sessionPresent, heard, will: [late] }
      },
    },
    {
      name: 'a user that is taken out of the password file while connected',
      happens: { deleted: 'closed with 0x87', other: 'stays' },
      once: true,
      async run(target) {
        const path = join(folder(), 'users')
        const { client } = await target.connect({
          username: 'leaver',
          password: 'goodbye',
          cleanStart: false,
          properties: { sessionExpiry: 60 },
        })
        const other = (await target.connect({ username: 'admin', password: 'correct horse' })).client
        writeFileSync(path, readFileSync(path, 'utf8').replace(/^leaver:.*\n/m, ''))
        const deleted = `closed with ${await end(client)}`
        await other.rest()
        return { deleted, other: 'stays' }
      },
    },
    {
      name: 'client ids that are more than one level of a topic name which a rule makes of them',
      happens: { codes: [0x90, 0x90, 0x90, 0], heard: ['mine'] },
      async run(target) {
        const victim = (await target.connect({ username: 'victim', password: 'any' })).client
        await victim.subscribe('home/victim/#')
        const codes: number[] = []
        for (const clientId of ['victim/x', 'victim/#', '+', 'victim']) {
          const client = await guest(target, { clientId })
          codes.push((await client.publish('guest/moved', clientId === 'victim' ? 'mine' : 'x', { qos: 1 }))!.reasonCode)
        }
        return { codes, heard: await victim.payloads() }
      },
    },
    {
      name: "topic names that are a bridged system's own",
      happens: { internal: [0x83, 0x83], ordinary: 0x10 },
      async run(target) {
        const client = await guest(target)
        const internal = await publishCodes(client, ['_schemas', '__consumer_offsets'])
        return { internal, ordinary: (await publishCodes(client, ['ordinary']))[0] }
      },
    },
    {
      name: 'a storm of wills',
      happens: { wills: 300 },
      async run(target) {
        const watcher = await guest(target)
        await watcher.subscribe('guest/wills/#', 1)
        const dying = await times(300, i => guest(target, { will: { topic: `guest/wills/${i}`, qos: 1 } }))
        for (const client of dying) client.drop()
        const seen = new Set<string>()
        while (seen.size < 300) seen.add((await watcher.receive()).topic)
        return { wills: seen.size }
      },
    },
    {
      name: '20,000 retained messages, and a subscriber to all of them',
      happens: { kept: 20_000, left: 0 },
      leaves: 80,
      async run(target) {
        const client = await guest(target)
        const flood = async (payload: string) => {
          for (let i = 0; i < 20_000; i++) client.sendPublish(`guest/retained/${i}`, payload, { retain: true })
          await client.rest()
        }
        await flood('x'.repeat(100))
        const reader = await guest(target)
        await reader.subscribe('guest/retained/#')
        for (let i = 0; i < 20_000; i++) await reader.message()
        reader.disconnect()
        await flood('')
        await client.publish('guest/retained/last', 'x', { qos: 1, retain: true })
        const later = await guest(target)
        await later.subscribe('guest/retained/#')
        await later.message()
        const left = await later.payloads()
        await client.publish('guest/retained/last', '', { qos: 1, retain: true })
        return { kept: 20_000, left: left.length }
      },
    },
    {
      name: '50,000 publishes that are denied',
      happens: { denied: 50_000, log: 'a line in ten seconds' },
      async run(target) {
        const from = target.log.length
        const began = Date.now()
        const client = await guest(target, { clientId: 'denied' })
        for (let i = 0; i < 50_000; i++) client.sendPublish(`private/${i}`, 'x', { qos: 1, packetId: (i % 60_000) + 1 })
        await client.rest()
        const denied = client.heard.filter(packet => packet.type === PacketType.Puback && packet.reasonCode === 0x87).length
        const lines = target.log.slice(from).filter(({ msg, clientId }) => msg === 'publish refused' && clientId === 'denied').length
        return { denied, log: lines <= 2 + (Date.now() - began) / 10_000 ? 'a line in ten seconds' : `${lines} lines` }
      },
    },
    {
      name: 'refused CONNECTs with a client id of 65,000 characters, again and again',
      happens: { refused: 300, log: 'a line in a second, each below 2,000 characters' },
      async run(target) {
        const clientId = `long-${'x'.repeat(65_000)}`
        await guest(target, { clientId })
        const from = target.log.length
        const began = Date.now()
        let refused = 0
        for (let i = 0; i < 300; i++)
          if ((await target.connect({ clientId, username: 'stranger' })).connack.reasonCode === 0x85) refused += 1
        await (await guest(target)).rest()
        const lines = target.log.slice(from).filter(line => String(line.clientId).startsWith('long-') && line.msg !== 'connected')
        const most = 4 + (Date.now() - began) / 1000
        const tooLong = lines.filter(line => JSON.stringify(line).length >= 2000).length
        const isFew = lines.length > 0 && lines.length <= most && tooLong === 0
        return { refused, log: isFew ? 'a line in a second, each below 2,000 characters' : `${lines.length} lines, ${tooLong} too long` }
      },
    },
    {
      name: 'guessing passwords, from one address',
      happens: { atOnce: 10, turnedAway: 10, others: 'waited', elsewhere: 0 },
      leaves: 100,
      once: true,
      async run(target) {
        const from = '127.0.0.66'
        const guess = async (password: string) => (await target.connect({ username: 'admin', password }, from)).connack.reasonCode
        let atOnce = 0
        for (let i = 0; i < 10; i++) if ((await guess(`guess ${i}`)) === 0x86) atOnce += 1
        const since = Date.now()
        let turnedAway = 0
        const waited = new Promise<number>(resolve => {
          for (let i = 0; i < 40; i++) {
            guess(`more ${i}`).then(
              code => {
                if (code === 0x9f) turnedAway += 1
                else resolve(Date.now() - since)
              },
              // Broken off at the end.
              () => {},
            )
          }
        })
        const elsewhere = (await target.connect({ username: 'admin', password: 'correct horse' })).connack.reasonCode
        const others = (await waited) >= 900 ? 'waited' : 'were answered at once'
        return { atOnce, turnedAway, others, elsewhere }
      },
    },
    {
      name: 'one device with a wrong password behind an address that many share',
      happens: { neighbour: 0, proven: 0 },
      leaves: 100,
      once: true,
      async run(target) {
        const from = '127.0.0.67'
        const code = async (username: string, password: string) => (await target.connect({ username, password }, from)).connack.reasonCode
        if ((await code('admin', 'correct horse')) !== 0) throw new Error('it was right')
        for (let i = 0; i < 10; i++) await code('admin', 'wrong')
        // Whoever waits is broken off at the end.
        for (let i = 0; i < 40; i++) code('admin', 'wrong').catch(() => {})
        const [neighbour, proven] = await Promise.all([code('guest', 'guest'), code('admin', 'correct horse')])
        return { neighbour, proven }
      },
    },
    {
      name: '2,000 clients that come and go at once',
      happens: '2000 came',
      leaves: 60,
      async run(target) {
        let came = 0
        for (let batch = 0; batch < 10; batch++) {
          const codes = await times(200, async () => {
            const { client, connack } = await target.connect({ version: 4 })
            client.disconnect()
            await client.closed
            return connack.reasonCode
          })
          came += codes.filter(code => code === 0).length
        }
        return `${came} came`
      },
    },
  ]
}
