import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { freePort } from '../support/redis.ts'
import { FaultBroker } from './fault-broker.ts'
import { type FaultClient, FaultPublisher, FaultReader } from './fault-client.ts'
import { type FaultOutcome, finished } from './faults.ts'
import { History } from './history.ts'

const window = 50

/** What the rule of the bridge says: `ack` of a rule at least once, or exactly once. */
export const bridgePromises = ['local', 'remote', 'once'] as const
export type BridgePromise = (typeof bridgePromises)[number]

/** What happens in the midst of traffic: kill -9 of the broker with the bridge, of the other one, or of both; the other one is slow, is restarted in good order, or is away for a while. */
export const bridgeTroubles = ['near', 'far', 'both', 'frozen', 'restart', 'away'] as const
export type BridgeTrouble = (typeof bridgeTroubles)[number]

export interface BridgeRounds {
  readonly promise: BridgePromise
  /** One that is left out is drawn for each round. */
  readonly trouble?: BridgeTrouble | undefined
  readonly rounds: number
  /** Messages of each of four publishers and two QoS in a round. */
  readonly perRound: number
  readonly awayMs: number
  readonly random: () => number
}

export interface BridgeOutcome extends FaultOutcome {
  /** Messages that came again to a reader, though it had answered them or was given them as new ones. */
  readonly repeated: number
  /** Messages that came behind a later one of their topic. */
  readonly reordered: number
}

/**
 * Two brokers on disk with a bridge of one to the other, which carries everything both ways, publishers and readers at each, and in each round something that goes wrong. At the end
 * each reader must have all that was acknowledged at either broker; exactly once and in order, where that is promised.
 */
export async function bridgeRounds(program: string, options: BridgeRounds): Promise<BridgeOutcome> {
  const { promise, trouble, rounds, perRound, awayMs, random } = options
  const root = mkdtempSync(join(tmpdir(), 'mqttx-bridge-fault-'))
  const history = new History()
  const [nearPort, farPort] = [await freePort(), await freePort()]
  const near = new Place(program, join(root, 'near'), nearPort, configOf(promise, farPort))
  const far = new Place(program, join(root, 'far'), farPort, {})
  const publishers = [0, 1, 2, 3].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const readers = [new FaultReader('reader-near', history, 5, 30), new FaultReader('reader-far', history, 5, 30)]
  const atNear: FaultClient[] = [readers[0]!, publishers[0]!, publishers[1]!]
  const atFar: FaultClient[] = [readers[1]!, publishers[2]!, publishers[3]!]
  const clients = [...atNear, ...atFar]
  const kill = async (place: Place, own: readonly FaultClient[], pauseMs: number): Promise<void> => {
    for (const one of own) one.returnsTo = null
    await place.broker.kill()
    await Promise.all(own.map(one => one.gone))
    await new Promise(resolve => setTimeout(resolve, pauseMs))
    await place.start()
    await Promise.all(own.map(one => one.connect(place.port)))
    for (const one of own) one.returnsTo = place.port
  }
  try {
    await Promise.all([near.start(), far.start()])
    await Promise.all(atNear.map(one => one.connect(nearPort)))
    await Promise.all(atFar.map(one => one.connect(farPort)))
    for (const reader of readers) await reader.subscribe()
    await bridged(nearPort, farPort)
    for (const one of clients) one.returnsTo = one.name.endsWith('near') || atNear.includes(one) ? nearPort : farPort
    for (let round = 0; round < rounds; round++) {
      const what = trouble ?? bridgeTroubles[Math.floor(random() * (bridgeTroubles.length - 1))]!
      for (const one of publishers) one.allow(perRound)
      // Those at a broker whose acknowledgements wait for the other are not counted on.
      await history.acknowledgedMore(random() * perRound * 4)
      if (what === 'near' || what === 'both') await kill(near, atNear, 0)
      if (what === 'far' || what === 'both') await kill(far, atFar, 0)
      if (what === 'away') await kill(far, atFar, awayMs)
      if (what === 'frozen') {
        far.broker.freeze()
        await new Promise(resolve => setTimeout(resolve, Math.min(awayMs, 3000)))
        far.broker.thaw()
      }
      if (what === 'restart') {
        for (const one of atFar) one.returnsTo = null
        await far.broker.terminate()
        await Promise.all(atFar.map(one => one.gone))
        await far.start()
        await Promise.all(atFar.map(one => one.connect(farPort)))
        for (const one of atFar) one.returnsTo = farPort
      }
    }
    return judged(await finished(history, publishers, readers, [near.broker, far.broker]), history, promise)
  } finally {
    await Promise.all(clients.map(one => one.close()))
    await Promise.all([near.broker?.kill(), far.broker?.kill()])
    rmSync(root, { recursive: true, force: true })
  }
}

/** At least once a message may come again, and one that was sent again comes behind those after it. */
function judged(outcome: FaultOutcome, { events }: History, promise: BridgePromise): BridgeOutcome {
  const seen = new Set<string>()
  const last = new Map<string, number>()
  let repeated = 0
  let reordered = 0
  for (const event of events) {
    if (event.kind !== 'received' || !event.fresh) continue
    const name = `${event.client} ${event.topic}`
    const isKnown = seen.has(`${name} ${event.sequence}`)
    // What the reader's own broker sends again has DUP, and is no doing of the bridge.
    if (isKnown && !event.dup) repeated += 1
    else if (!isKnown && event.sequence < (last.get(name) ?? -1)) reordered += 1
    seen.add(`${name} ${event.sequence}`)
    last.set(name, Math.max(last.get(name) ?? -1, event.sequence))
  }
  const wrong = promise === 'once' ? outcome.wrong : outcome.wrong.filter(line => !/ came twice$/.test(line))
  return { ...outcome, wrong, repeated, reordered }
}

function configOf(promise: BridgePromise, farPort: number): object {
  const rule = promise === 'once' ? { delivery: 'exactlyOnce' } : { ack: promise }
  return {
    diskQueue: { path: './queue' },
    mqttBridge: {
      connections: [
        {
          name: 'far',
          addresses: [`127.0.0.1:${farPort}`],
          retryMin: 20,
          retryMax: 500,
          keepAlive: '1s',
          connectTimeout: 1000,
          topics: [
            { filter: 'fault/#', direction: 'both', ...rule },
            { filter: 'ready', direction: 'in', ...rule },
          ],
        },
      ],
    },
  }
}

/** One broker that comes again at its port, with its folder. */
class Place {
  readonly #program: string
  readonly #folder: string
  readonly port: number
  broker!: FaultBroker

  constructor(program: string, folder: string, port: number, config: object) {
    this.#program = program
    this.#folder = folder
    this.port = port
    mkdirSync(folder)
    const all = { preset: 'standalone', admin: false, disk: { path: './data' }, ...config }
    writeFileSync(join(folder, 'mqttx.config.json'), JSON.stringify(all))
  }

  async start(): Promise<void> {
    this.broker = await FaultBroker.start(this.#program, this.#folder, ['--port', String(this.port)])
  }
}

/** Resolves when what is published at the far broker comes to the near one: all subscriptions are granted. */
async function bridged(nearPort: number, farPort: number): Promise<void> {
  const [listener, speaker] = await Promise.all([nearPort, farPort].map(port => mqtt.connectAsync(`mqtt://127.0.0.1:${port}`)))
  const heard = new Promise<void>(resolve => listener!.once('message', () => resolve()))
  await listener!.subscribeAsync('ready')
  const timer = setInterval(() => speaker!.publish('ready', ''), 20)
  await heard
  clearInterval(timer)
  await Promise.all([listener!.endAsync(true), speaker!.endAsync(true)])
}
