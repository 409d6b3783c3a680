import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FaultBroker } from './fault-broker.ts'
import { connectAll, FaultPublisher, FaultReader } from './fault-client.ts'
import { type FaultOutcome, type FaultRun, finished } from './faults.ts'
import { History } from './history.ts'

const window = 50
const perRound = 300
// Each packet is a line, so that pipe and buffer are full within a round.
const loud = ['--set', 'log.level=trace']
const kinds = ['unread', 'gone', 'read again'] as const

/**
 * Rounds of traffic, 50 deep at QoS 1 and QoS 2, in the midst of each of which nobody reads the broker's log any more: its reader hangs, has gone, or reads
 * again a little later. Then the broker is asked to stop, still in the midst, must end by itself, and is started again.
 */
export async function logRounds(
  { program, store }: FaultRun,
  { rounds, random }: { rounds: number; random: () => number },
): Promise<FaultOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-log-fault-'))
  const history = new History()
  const publishers = [0, 1, 2, 3].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const readers = [new FaultReader('reader-5', history, 5, 30), new FaultReader('reader-4', history, 4, 30)]
  const clients = [...readers, ...publishers]
  const wrong: string[] = []
  const start = () => FaultBroker.start(program, folder, [...store.args, ...loud])
  let broker = await start()
  const acknowledged = (share: number): Promise<void> => history.acknowledgedMore(share * perRound * 2)
  try {
    await connectAll(readers, publishers, () => broker.port)
    for (let round = 0; round < rounds; round++) {
      for (const one of publishers) one.allow(perRound)
      await acknowledged(random())
      const kind = kinds[Math.floor(random() * kinds.length)]!
      broker.loseReader(kind === 'gone')
      await acknowledged(1 + random())
      if (kind === 'read again') {
        broker.readAgain()
        await acknowledged(random() / 2)
      }
      const how = await broker.terminate()
      if (how !== '0') wrong.push(`round ${round}, ${kind}: the broker ended with ${how}`)
      await Promise.all(clients.map(one => one.gone))
      broker = await start()
      await Promise.all(clients.map(one => one.connect(broker.port)))
    }
    const outcome = await finished(history, publishers, readers, [broker])
    return { ...outcome, wrong: [...wrong, ...outcome.wrong] }
  } finally {
    await Promise.all(clients.map(one => one.close()))
    await broker.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}
