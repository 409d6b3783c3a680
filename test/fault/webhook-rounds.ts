import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../support/redis.ts'
import { FaultBroker } from './fault-broker.ts'
import { FaultPublisher } from './fault-client.ts'
import type { FaultOutcome } from './faults.ts'
import { History } from './history.ts'

const window = 50
// The longest pause between two attempts is half a second.
const settledMs = 30_000

/** What a publisher's acknowledgement waits for: the queue on disk, or the server. */
export const webhookPromises = ['local', 'remote'] as const
export type WebhookPromise = (typeof webhookPromises)[number]

/** What happens in the midst of messages: kill -9 of the broker, of the server, or of both; the server is frozen, lies and fails in each way in turn, or is away for a while. */
export const webhookTroubles = ['broker', 'server', 'both', 'frozen', 'lies', 'away'] as const
export type WebhookTrouble = (typeof webhookTroubles)[number]

export interface WebhookRounds {
  readonly promise: WebhookPromise
  /** One that is left out is drawn for each round, but for `away`. */
  readonly trouble?: WebhookTrouble | undefined
  readonly rounds: number
  /** Messages of each of four publishers and two QoS in a round. */
  readonly perRound: number
  readonly awayMs: number
  readonly random: () => number
}

export interface WebhookOutcome extends FaultOutcome {
  /** What came again under the id that it had: a receiver knows it. */
  readonly repeated: number
  /** What came again under another id, because its publisher sent it again. */
  readonly sentAgain: number
  /** What came for the first time behind a later one of its topic. */
  readonly reordered: number
}

/** A broker that posts what four publishers send, to a server of its own process, and in each round something that goes wrong. At the end the server must have all that was acknowledged. */
export async function webhookRounds(program: string, options: WebhookRounds): Promise<WebhookOutcome> {
  const { promise, trouble, rounds, perRound, awayMs, random } = options
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-webhook-fault-'))
  const history = new History()
  const [port, serverPort] = [await freePort(), await freePort()]
  const endpoint = {
    name: 'server',
    url: `http://127.0.0.1:${serverPort}/`,
    filters: ['fault/#'],
    ack: promise,
    timeout: '1s',
    retryMin: 20,
    retryMax: 500,
  }
  const config = {
    ...{ preset: 'standalone', admin: false, disk: { path: './data' }, diskQueue: { path: './queue' } },
    webhooks: { endpoints: [{ ...endpoint, linger: 5, parked: 'keep' }] },
  }
  writeFileSync(join(folder, 'mqttx.config.json'), JSON.stringify(config))
  const publishers = [0, 1, 2, 3].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const startBroker = (): Promise<FaultBroker> => FaultBroker.start(program, folder, ['--port', String(port)])
  const server = new Receiver(serverPort, join(folder, 'taken'))
  let broker: FaultBroker | undefined
  const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
  const killBroker = async (): Promise<void> => {
    for (const one of publishers) one.returnsTo = null
    await broker!.kill()
    await Promise.all(publishers.map(one => one.gone))
    broker = await startBroker()
    await Promise.all(publishers.map(one => one.connect(port)))
    for (const one of publishers) one.returnsTo = port
  }
  try {
    await server.start()
    broker = await startBroker()
    await Promise.all(publishers.map(one => one.connect(port)))
    for (const one of publishers) one.returnsTo = port
    for (let round = 0; round < rounds; round++) {
      const what = trouble ?? webhookTroubles[Math.floor(random() * (webhookTroubles.length - 1))]!
      if (what === 'away') await server.kill()
      for (const one of publishers) one.allow(perRound)
      if (what !== 'away') await history.acknowledgedMore(random() * perRound * 4)
      if (what === 'away') await pause(awayMs)
      if (what === 'broker') await killBroker()
      if (what === 'server' || what === 'both') await server.kill()
      if (what === 'both') await killBroker()
      if (what === 'server' || what === 'both' || what === 'away') await server.start()
      if (what === 'frozen') {
        server.signal('SIGSTOP')
        await pause(Math.min(awayMs, 3000))
        server.signal('SIGCONT')
      }
      if (what === 'lies') {
        for (const way of ['fails', 'busy', 'closes', 'breaksOff', 'hangs', 'slow']) {
          server.says(way)
          await pause(400)
        }
        server.says('ok')
      }
    }
    await history.until(() => publishers.every(one => one.idle))
    return await judged(history, server, settledMs)
  } finally {
    await Promise.all(publishers.map(one => one.close()))
    await Promise.all([broker?.kill(), server.kill()])
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Waits until the server has all that was acknowledged, or so long that it will not come any more. */
async function judged({ events }: History, server: Receiver, patienceMs: number): Promise<WebhookOutcome> {
  const acknowledged = new Set<string>()
  for (const event of events) if (event.kind === 'acknowledged') acknowledged.add(`${event.topic} ${event.sequence}`)
  let taken = server.taken()
  const missing = (): string[] => {
    const there = new Set(taken.map(({ topic, sequence }) => `${topic} ${sequence}`))
    return [...acknowledged].filter(name => !there.has(name))
  }
  const until = performance.now() + patienceMs
  while (missing().length > 0 && performance.now() < until) {
    await new Promise(resolve => setTimeout(resolve, 100))
    taken = server.taken()
  }
  const ids = new Set<string>()
  const seen = new Set<string>()
  const last = new Map<string, number>()
  let [repeated, sentAgain, reordered] = [0, 0, 0]
  for (const { id, topic, sequence } of taken) {
    const name = `${topic} ${sequence}`
    if (ids.has(id)) repeated += 1
    else if (seen.has(name)) sentAgain += 1
    else if (sequence < (last.get(topic) ?? -1)) reordered += 1
    ids.add(id)
    seen.add(name)
    last.set(topic, Math.max(last.get(topic) ?? -1, sequence))
  }
  const wrong = missing().map(name => `${name} was acknowledged and did not arrive`)
  return { acknowledged: acknowledged.size, received: taken.length, wrong, repeated, sentAgain, reordered }
}

/** The server, which comes again at its port, with its file. */
class Receiver {
  readonly #port: number
  readonly #path: string
  #child: ChildProcess | null = null

  constructor(port: number, path: string) {
    this.#port = port
    this.#path = path
  }

  async start(): Promise<void> {
    const child = fork(fileURLToPath(new URL('webhook-receiver.mjs', import.meta.url)), [String(this.#port), this.#path], { execArgv: [] })
    this.#child = child
    const end = (): void => void child.kill('SIGKILL')
    process.once('exit', end)
    child.once('exit', () => process.off('exit', end))
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve())
      child.once('exit', code => reject(new Error(`the server ended with ${code}`)))
    })
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null) return
    const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
    child.kill('SIGKILL')
    await gone
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child!.kill(signal)
  }

  /** How it answers from now on. */
  says(mode: string): void {
    this.#child!.send(mode)
  }

  /** What it has written down. A last line without an end was cut off by a kill, and nobody was told that it is there. */
  taken(): { id: string; topic: string; sequence: number }[] {
    const lines = readFileSync(this.#path, 'utf8').split('\n').slice(0, -1)
    return lines.map(line => {
      const [id, topic, sequence] = line.split(' ') as [string, string, string]
      return { id, topic, sequence: Number(sequence) }
    })
  }
}
