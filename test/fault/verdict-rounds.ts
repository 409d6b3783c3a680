import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RedisServer } from '../support/redis.ts'
import { check } from './checker.ts'
import { FaultBroker } from './fault-broker.ts'
import { connectAll, FaultAsker, FaultPublisher, FaultReader } from './fault-client.ts'
import { type FaultOutcome, finished } from './faults.ts'
import { History } from './history.ts'

const window = 50
const perRound = 300
const victimQueue = 'mqttx:client:pubmsg:{victim}'
const largest = 2 ** 20

/**
 * What Redis says no to, while it is there: another program's value under the key of one session's queue; a message that is larger than it takes; and everything
 * that needs room.
 */
const kinds = ['wrong type', 'too large', 'full'] as const

/**
 * Rounds of traffic, 50 deep at QoS 1 and QoS 2, in the midst of each of which Redis refuses something, and is there. One session with its publisher is hit; the
 * others go on, no connection breaks, and what was acknowledged arrives. Where Redis is full everybody is hit: publishers are told so, and go on afterwards.
 */
export async function verdictRounds(program: string, { rounds, random }: { rounds: number; random: () => number }): Promise<FaultOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-verdict-'))
  const redis = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction')
  const [history, hit] = [new History(), new History()]
  const publishers = [0, 1, 2, 3].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const readers = [new FaultReader('reader-5', history, 5, 30), new FaultReader('reader-4', history, 4, 30)]
  const victim = new FaultReader('victim', hit, 5, 0)
  const asker = new FaultAsker('asker', hit, 'victim/1')
  const clients = [...readers, ...publishers, victim, asker]
  const wrong: string[] = []
  const args = ['--preset', 'test', '--set', 'memory=false', '--set', `redis.url=${redis.url}`, '--set', 'mqtt.deniedPublish=close']
  const broker = await FaultBroker.start(program, folder, args)
  const moreOrAll = async (count: number): Promise<void> => {
    const due = history.count('acknowledged') + Math.ceil(count)
    await history.until(() => history.count('acknowledged') >= due || publishers.every(one => one.idle))
  }
  try {
    await connectAll(readers, publishers, () => broker.port)
    await victim.connect(broker.port)
    await victim.subscribe('victim/#')
    await victim.close()
    await asker.connect(broker.port)
    const answers = async (round: number, what: string, wanted: number, size = 0): Promise<void> => {
      const reasonCode = await asker.publish(size)
      if (reasonCode !== wanted) wrong.push(`round ${round}, ${what}: ${reasonCode} was answered, and not ${wanted}`)
    }
    let turn = Math.floor(random() * kinds.length)
    for (let round = 0; round < rounds; round++) {
      // Each comes once, then as the seed says.
      turn += round < kinds.length ? 1 : Math.floor(random() * kinds.length)
      const kind = kinds[turn % kinds.length]!
      for (const one of publishers) one.allow(perRound)
      await moreOrAll(random() * perRound * 4)
      await answers(round, 'before', 0)
      const disturbances = history.count('broken') + history.count('dismissed')
      if (kind === 'full') {
        for (const one of clients) if (one !== victim) one.returnsTo = broker.port
        for (const one of publishers) one.mayBeRefused = true
        await redis.call('CONFIG', 'SET', 'maxmemory', '1')
        const refused = history.count('refused')
        for (const one of publishers) one.allow(window)
        await history.until(() => history.count('refused') > refused)
        await answers(round, kind, 0x97)
        await redis.call('CONFIG', 'SET', 'maxmemory', '0')
        // What was refused just before the room came is read before anything else is asked.
        await history.until(() => publishers.every(one => one.idle))
        for (const one of publishers) one.mayBeRefused = false
        for (const one of clients) one.returnsTo = null
      } else if (kind === 'too large') {
        await redis.call('CONFIG', 'SET', 'proto-max-bulk-len', largest)
        const answer = answers(round, kind, 0x83, largest + largest / 2)
        await moreOrAll(random() * perRound)
        await answer
        await redis.call('CONFIG', 'SET', 'proto-max-bulk-len', 512 * 2 ** 20)
      } else {
        await redis.call('RENAME', victimQueue, `${victimQueue}:aside`)
        await redis.call('SET', victimQueue, 'of another program')
        await answers(round, kind, 0x83)
        await moreOrAll(random() * perRound)
        await answers(round, kind, 0x83)
        await redis.call('RENAME', `${victimQueue}:aside`, victimQueue)
      }
      const since = history.count('broken') + history.count('dismissed') - disturbances
      if (kind !== 'full' && since > 0) wrong.push(`round ${round}, ${kind}: ${since} times a client was sent away or its connection broke`)
      await answers(round, `after ${kind}`, 0)
    }
    await victim.connect(broker.port)
    victim.finish()
    await hit.until(() => victim.hasSeen('victim/1', asker.accepted))
    const outcome = await finished(history, publishers, readers, [broker])
    return { ...outcome, wrong: [...wrong, ...outcome.wrong, ...check(hit.events, ['victim'])] }
  } finally {
    await Promise.all(clients.map(one => one.close()))
    await broker.kill()
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
