import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PacketType } from '../../core/protocol/constants.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { connectPacket, TestClient } from '../support/client.ts'
import { FaultBroker } from './fault-broker.ts'

/** What one round showed. */
export interface StormRound {
  readonly clients: number
  readonly filters: 'one' | 'different'
  readonly pingMedianMs: number
  readonly pingMaxMs: number
  /** The same before the storm, as long: what the machine itself takes. */
  readonly calmMaxMs: number
  /** What the process took more than before, at most. */
  readonly grownMiB: number
  readonly wrong: readonly string[]
}

export interface StormOptions {
  readonly rounds: number
  readonly random: () => number
  /** The broker's heap in MiB, with `limits.memory` as `auto`; `undefined`: as Node has it. */
  readonly heapMiB: number | undefined
  readonly onRound: (round: StormRound) => void
}

const messages = 20_000
const payloadBytes = 2048
const clientsMin = 100
const clientsMax = 400
const stormMs = 4000
const pingEveryMs = 20
const lastTopic = 'last'
// Values only rise, from round to round, too.
let versions = 0
// What is promised.
const medianMax = 100
const worstMax = 300
const grownMax = 200

// Eight levels that a filter may leave open: 256 filters that all match every topic, and as many with one level less.
const levels = ['ret', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

/**
 * Thousands of retained messages, and hundreds of clients that ask for all of them at once and read nothing. Meanwhile one client pings, one reads
 * all, and some topics get new values: the pings are answered in time, the process does not grow, and the reader has the last value of each topic.
 */
export async function retainedStorm(program: string, { rounds, random, heapMiB, onRound }: StormOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-storm-'))
  const args = ['--set', 'preset=standalone', ...(heapMiB === undefined ? [] : ['--set', 'limits.memory.max=auto'])]
  const env: Record<string, string> = heapMiB === undefined ? {} : { NODE_OPTIONS: `--max-old-space-size=${heapMiB}` }
  const broker = await FaultBroker.start(program, folder, args, env)
  try {
    await fill(broker.port)
    for (let round = 0; round < rounds; round++) {
      const clients = clientsMin + Math.floor(random() * (clientsMax - clientsMin + 1))
      onRound(await storm(broker, clients, random() < 0.5 ? 'one' : 'different', random, heapMiB !== undefined))
    }
  } finally {
    await broker.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function storm(
  broker: FaultBroker,
  clients: number,
  filters: StormRound['filters'],
  random: () => number,
  isShort: boolean,
): Promise<StormRound> {
  const wrong: string[] = []
  const pinger = await opened(broker.port)
  const writer = await opened(broker.port)
  await pinger.connect({ clientId: 'pinger' })
  await writer.connect({ clientId: 'writer' })
  const calm = await pings(pinger, broker, stormMs)
  const before = rssMiB(broker.pid)
  let most = before
  const silent = await Promise.all(Array.from({ length: clients }, (_, i) => silentClient(broker.port, i, filters === 'one' ? 0 : i)))
  const reader = await opened(broker.port)
  await reader.connect({ clientId: 'reader', version: 5 })
  const values = new Map<string, number>()
  const read = readAll(reader, values, wrong).catch(error => {
    // Whoever is short of memory may send away who keeps most of it.
    if (!isShort) wrong.push(String(error))
  })
  const ends = performance.now() + stormMs
  const times: number[] = []
  const written = new Map<string, number>()
  while (performance.now() < ends) {
    times.push(await ping(pinger, broker))
    most = Math.max(most, rssMiB(broker.pid))
    // New values while replays go on, some of topics that were sent already, some of others.
    const topic = topicOf(Math.floor(random() * messages))
    versions += 1
    written.set(topic, versions)
    await writer.publish(topic, payloadOf(versions), { qos: 1, retain: true })
    await new Promise(resolve => setTimeout(resolve, pingEveryMs))
  }
  for (const socket of silent) socket.destroy()
  await writer.publish(lastTopic, '', { qos: 1 })
  await Promise.race([read, broker.ended.then(how => wrong.push(`the broker ended with ${how}`))])
  if (!reader.isClosed) {
    if (values.size !== messages) wrong.push(`the reader got ${values.size} topics of ${messages}`)
    for (const [topic, value] of written) {
      if (values.get(topic) !== value) wrong.push(`${topic}: the reader has ${values.get(topic)}, not ${value}`)
    }
  }
  for (const client of [pinger, writer, reader]) client.drop()
  times.sort((a, b) => a - b)
  const pingMedianMs = times[times.length >> 1]!
  const pingMaxMs = times.at(-1)!
  const grownMiB = most - before
  if (pingMedianMs >= medianMax) wrong.push(`a ping took ${pingMedianMs.toFixed(0)} ms in the median`)
  if (pingMaxMs >= worstMax) wrong.push(`a ping took ${pingMaxMs.toFixed(0)} ms`)
  if (grownMiB >= grownMax) wrong.push(`the process grew by ${grownMiB.toFixed(0)} MiB`)
  return { clients, filters, pingMedianMs, pingMaxMs, calmMaxMs: Math.max(...calm), grownMiB, wrong }
}

/** Reads until it has every topic, and what was published last; a value must not be followed by one that is older. */
async function readAll(reader: TestClient, values: Map<string, number>, wrong: string[]): Promise<void> {
  reader.send({ type: PacketType.Subscribe, packetId: 1, subscriptions: [request('#')], properties: undefined })
  for (let isLast = false; !isLast || values.size < messages; ) {
    const { topic, payload } = await reader.receive()
    if (topic === lastTopic) isLast = true
    else note(values, wrong, topic, payload)
    // What was read is not looked at again.
    if (reader.heard.length > 1000) reader.forget()
  }
}

function note(values: Map<string, number>, wrong: string[], topic: string, payload: Buffer): void {
  const value = Number(payload.toString('latin1', 0, 16))
  const known = values.get(topic)
  if (known !== undefined && value < known) wrong.push(`${topic}: ${value} came behind ${known}`)
  values.set(topic, value)
}

async function pings(pinger: TestClient, broker: FaultBroker, forMs: number): Promise<number[]> {
  const times: number[] = []
  for (const ends = performance.now() + forMs; performance.now() < ends; ) {
    times.push(await ping(pinger, broker))
    await new Promise(resolve => setTimeout(resolve, pingEveryMs))
  }
  return times
}

/** Milliseconds until a ping was answered. */
async function ping(pinger: TestClient, broker: FaultBroker): Promise<number> {
  const began = performance.now()
  pinger.send({ type: PacketType.Pingreq })
  await Promise.race([pinger.next(PacketType.Pingresp), broker.ended])
  return performance.now() - began
}

async function fill(port: number): Promise<void> {
  const writer = await opened(port)
  await writer.connect({ clientId: 'filler' })
  const width = 500
  for (let from = 0; from < messages; from += width) {
    for (let i = from; i < from + width; i++) writer.sendPublish(topicOf(i), payloadOf(0), { qos: 1, retain: true })
    for (let i = 0; i < width; i++) await writer.next(PacketType.Puback)
  }
  writer.drop()
}

async function opened(port: number): Promise<TestClient> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return new TestClient(socket, 5)
}

/** Asks for all there is and reads nothing. */
async function silentClient(port: number, index: number, filter: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  const subscribe = { type: PacketType.Subscribe, packetId: 1, subscriptions: [request(filterOf(filter))], properties: undefined }
  socket.write(Buffer.concat([encodePacket(connectPacket({ version: 4, clientId: `silent-${index}` }), 4), encodePacket(subscribe, 4)]))
  return socket
}

function request(filter: string) {
  return { filter, qos: 1 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }
}

function topicOf(index: number): string {
  return `${levels.join('/')}/${index}`
}

/** Filters that are all different and all match every topic. */
function filterOf(index: number): string {
  const named = levels.map((level, i) => (i > 0 && ((index >> (i - 1)) & 1) === 1 ? '+' : level))
  return `${named.join('/')}/${index < 256 ? '#' : '+'}`
}

function payloadOf(value: number): Buffer {
  return Buffer.alloc(payloadBytes, String(value).padStart(16, '0'))
}

function rssMiB(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
  } catch {
    return 0
  }
}
