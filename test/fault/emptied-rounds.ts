import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RedisServer } from '../support/redis.ts'
import { FaultBroker } from './fault-broker.ts'
import { connectAll, FaultPublisher, FaultReader } from './fault-client.ts'
import { type FaultOutcome, finished } from './faults.ts'
import { type FaultEvent, History } from './history.ts'

const window = 50
const perRound = 300

/**
 * Rounds of traffic, 50 deep at QoS 1 and QoS 2, in the midst of each of which Redis loses everything that it held: by `FLUSHALL`, or it dies and comes back
 * without its files. All clients are connected, so that each session is written again; every second time, as the seed says, the broker is killed soon afterwards,
 * and has to find there what it has promised since.
 */
export async function emptiedRounds(program: string, { rounds, random }: { rounds: number; random: () => number }): Promise<FaultOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-emptied-'))
  const redis = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always')
  const history = new History()
  const publishers = [0, 1, 2, 3].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const readers = [new FaultReader('reader-5', history, 5, 30), new FaultReader('reader-4', history, 4, 30)]
  const clients = [...readers, ...publishers]
  const args = ['--preset', 'test', '--set', 'memory=false', '--set', `redis.url=${redis.url}`]
  const start = (): Promise<FaultBroker> => FaultBroker.start(program, folder, args)
  let broker = await start()
  try {
    await connectAll(readers, publishers, () => broker.port)
    for (let round = 0; round < rounds; round++) {
      for (const one of publishers) one.allow(perRound)
      await history.acknowledgedMore(random() * perRound * 4)
      if (random() < 0.5) await redis.call('FLUSHALL')
      else {
        await redis.kill()
        for (const name of readdirSync(redis.folder)) rmSync(join(redis.folder, name), { recursive: true })
        await redis.start()
      }
      // Later than it is gone: what was sent just before may have been answered by the Redis that is no more.
      const sent = new Map(publishers.flatMap(one => [...one.last]))
      history.add({ kind: 'emptied', client: 'redis', sent })
      // The broker notices before it acknowledges anything that was sent since; what it acknowledged before may only be read now.
      for (const one of publishers) one.allow(window)
      const from = history.events.length
      const isNew = (event: FaultEvent): boolean => event.kind === 'acknowledged' && event.sequence >= sent.get(event.topic)!
      await history.until(() => history.events.slice(from).some(isNew))
      await history.acknowledgedMore(random() * window)
      if (random() < 0.5) continue
      await broker.kill()
      await Promise.all(clients.map(one => one.gone))
      broker = await start()
      await Promise.all(clients.map(one => one.connect(broker.port)))
    }
    return await finished(history, publishers, readers, [broker])
  } finally {
    await Promise.all(clients.map(one => one.close()))
    await broker.kill()
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
