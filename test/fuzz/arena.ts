import { definePlugin } from '../../core/plugin.ts'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { Packet } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { createTestBroker, type TestBroker } from '../../presets/testing/index.ts'
import { PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { settled } from '../../presets/testing/settled.ts'
import { TestClient } from '../support/client.ts'
import type { Script, Step } from './script.ts'

/** What came of a script: what was wrong, and what was seen, by which scripts are told apart. */
export interface Outcome {
  readonly faults: readonly string[]
  readonly seen: readonly string[]
}

type Line = ReturnType<TestBroker['stream']>

/** All that was said on one connection of a script. */
interface Spoken {
  readonly sent: Buffer[]
  readonly heard: Buffer[]
  /** It broke off. */
  dropped: boolean
  /** It did not read at all times. */
  held: boolean
}

interface Peer extends Spoken {
  readonly stream: Line
}

const guard = definePlugin({
  name: 'guard',
  apply({ hooks }) {
    hooks.onAuthenticate.tap('guard', client => {
      if (client.username === 'bad') return { reasonCode: ReasonCode.BadUserNameOrPassword }
      return true
    })
    hooks.onAuth.tap('guard', (_client, { properties }) =>
      properties?.authenticationData?.length === 1 ? { continue: true, data: Buffer.from([1, 2]) } : { admission: {} },
    )
  },
})

const users = definePlugin({
  name: 'users',
  apply({ hooks }) {
    hooks.onAuthenticate.tap('users', (_client, { username }) => {
      if (username === undefined || username === 'ann' || username === 'bob') return { username: username ?? null }
      return { reasonCode: ReasonCode.BadUserNameOrPassword }
    })
  },
})

// Small, so that what is too much for it fits a script.
const connectSizeMax = 1024

const configs = {
  owned: { plugins: [users()], mqtt: { clientIdOwner: 'user', connectSizeMax, subscriptionsMax: 100 } },
  plain: {},
  guarded: {
    plugins: [guard()],
    limits: {
      messagesPerSecond: 20,
      messageBurst: 20,
      maxKeepAlive: '60s',
      packetTimeout: '5s',
      connectsPerSecond: 10_000,
      connectsPerSecondPerAddress: 10_000,
    },
    topicSecurity: {
      rules: [
        { deny: 'all', topics: ['secret/#'] },
        { allow: 'all', topics: ['#'] },
      ],
    },
  },
} as const

/** A broker that lives through script after script. */
export class Arena {
  readonly #kit: TestBroker
  readonly #bystander: TestClient
  readonly #errors: string[] = []
  // Whose each session is, by client id, from its first connection to its end.
  readonly #owners = new Map<string, string | null>()
  readonly #onStray = (error: unknown): void => void this.#errors.push(`nobody caught: ${text(error)}`)
  #served = 0

  private constructor(kit: TestBroker, bystander: TestClient) {
    this.#kit = kit
    this.#bystander = bystander
    kit.running.hooks.onError.tap('fuzz', error => void this.#errors.push(`the broker reports: ${text(error)}`))
    if (kit.running.broker.settings.mqtt.clientIdOwner === 'user') this.#watchOwners()
    process.on('uncaughtException', this.#onStray)
    process.on('unhandledRejection', this.#onStray)
  }

  #watchOwners(): void {
    const { hooks } = this.#kit.running
    hooks.onConnected.tap('fuzz', ({ clientId, username }) => {
      const owner = this.#owners.get(clientId)
      if (owner !== undefined && owner !== username) this.#errors.push(`a session of ${owner} went to ${username}: ${clientId}`)
      this.#owners.set(clientId, username)
    })
    hooks.onSessionExpired.tap('fuzz', clientId => void this.#owners.delete(clientId))
    hooks.onSessionClosed.tap('fuzz', ({ clientId, expiryMs }) => {
      if (expiryMs === 0) this.#owners.delete(clientId)
    })
  }

  static async open(broker: Script['broker']): Promise<Arena> {
    const kit = await createTestBroker({ memory: true, ...configs[broker] } as never)
    const bystander = new TestClient(kit.stream('bystander'), 5)
    await bystander.connect({ version: 5, clientId: 'bystander', keepAlive: 0 })
    await bystander.subscribe('bystander', 1)
    return new Arena(kit, bystander)
  }

  async close(): Promise<void> {
    await this.#kit.stop()
    process.off('uncaughtException', this.#onStray)
    process.off('unhandledRejection', this.#onStray)
  }

  async run({ steps }: Script): Promise<Outcome> {
    const { broker } = this.#kit.running
    const before = { ...broker.counters.dropped }
    const peers: Peer[] = []
    const current: (Peer | undefined)[] = []
    for (const step of steps) {
      await this.#step(step, peers, current)
      await settled()
    }
    const faults: string[] = []
    for (const peer of peers) faults.push(...faultsIn(peer), ...oversizedIn(peer, broker.settings.mqtt.connectSizeMax))
    const seen = new Set<string>(peers.flatMap(answersOf))
    for (const [reason, count] of Object.entries(broker.counters.dropped)) {
      if (count > before[reason as keyof typeof before]) seen.add(`dropped:${reason}`)
    }
    for (const { stream } of peers) stream.destroy()
    await settled()
    // Whoever is kept for the time of his keep-alive or a delayed will goes with it.
    await this.#kit.advance(5000)
    faults.push(...(await this.#bystanderServed()))
    if (broker.clients.size !== 1) faults.push(`${broker.clients.size - 1} connections are left`)
    faults.push(...this.#errors.splice(0))
    return { faults, seen: [...seen].sort() }
  }

  async #step(step: Step, peers: Peer[], current: (Peer | undefined)[]): Promise<void> {
    if (step.kind === 'wait') {
      for (let left = step.ms; left > 0; left -= 30_000) {
        await this.#kit.advance(Math.min(left, 30_000))
        this.#bystander.send({ type: PacketType.Pingreq })
        await settled()
      }
      return
    }
    let peer = current[step.client]
    if (peer === undefined || peer.dropped || peer.stream.destroyed || peer.stream.writableEnded) {
      if (step.kind !== 'send') return
      peer = this.#open()
      current[step.client] = peer
      peers.push(peer)
    }
    if (step.kind === 'send') {
      peer.sent.push(step.bytes)
      if (step.bytes.length > 0) peer.stream.write(step.bytes)
    } else if (step.kind === 'drop') {
      peer.dropped = true
      peer.stream.destroy()
    } else {
      peer.held = true
      if (step.kind === 'hold') peer.stream.pause()
      else peer.stream.resume()
    }
  }

  #open(): Peer {
    const stream = this.#kit.stream('fuzz')
    const peer: Peer = { stream, sent: [], heard: [], dropped: false, held: false }
    stream.on('data', (chunk: Buffer) => peer.heard.push(Buffer.from(chunk)))
    stream.on('error', () => {})
    return peer
  }

  async #bystanderServed(): Promise<string[]> {
    this.#served += 1
    const word = `still here ${this.#served}`
    const client = this.#bystander
    if (client.isClosed) return ['the bystander was disconnected']
    client.sendPublish('bystander', word, { qos: 1 })
    for (let turn = 0; turn < 50; turn++) {
      await settled()
      const heard = client.heard.some(packet => packet.type === PacketType.Publish && String(packet.payload) === word)
      if (heard) {
        for (const packet of client.heard.splice(0)) {
          if (packet.type === PacketType.Publish && packet.qos === 1) client.ack(PacketType.Puback, packet.packetId)
        }
        return []
      }
    }
    return ['the bystander is not served']
  }
}

/** All that the broker said must be packets of a server, and its acknowledgements must answer something that was asked. */
export function faultsIn({ heard, sent, dropped, held }: Spoken): string[] {
  const said = Buffer.concat(heard)
  const version = versionOf(Buffer.concat(sent))
  const { packets, error, pending } = decode(said, version, 'client')
  const faults: string[] = []
  if (error !== null) faults.push(`what the broker said is no MQTT ${version}: ${error}: ${said.toString('hex').slice(0, 400)}`)
  else if (pending > 0 && !dropped && !held)
    faults.push(`the broker broke off in the middle of a packet: ${said.toString('hex').slice(0, 400)}`)
  const asked = new Set<number>()
  for (const packet of decode(Buffer.concat(sent), version, 'server').packets) if ('packetId' in packet) asked.add(packet.packetId)
  for (const [at, packet] of packets.entries()) {
    if ((packet.type === PacketType.Connack) !== (at === 0) && packet.type !== PacketType.Auth && packets[0]!.type !== PacketType.Auth) {
      // Before MQTT 5 nothing comes but CONNACK; in MQTT 5 a DISCONNECT may stand alone.
      if (!(at === 0 && packet.type === PacketType.Disconnect)) faults.push(`packet ${at} is of type ${packet.type}`)
    }
    const isAnswer =
      packet.type === PacketType.Puback ||
      packet.type === PacketType.Pubrec ||
      packet.type === PacketType.Suback ||
      packet.type === PacketType.Unsuback
    if (isAnswer && !asked.has(packet.packetId)) faults.push(`an answer of type ${packet.type} to ${packet.packetId}, which nobody asked`)
  }
  return faults
}

/** A CONNECT that is longer than the broker takes is let in by nobody. */
export function oversizedIn({ heard, sent }: Spoken, connectSizeMax: number): string[] {
  const said = Buffer.concat(sent)
  if (said[0] !== 0x10) return []
  let length = 0
  let at = 1
  for (let scale = 1; at < 5; at++, scale *= 128) {
    const byte = said[at] ?? 0
    length += (byte & 0x7f) * scale
    if (byte < 0x80) break
  }
  if (at === 5 || at + 1 + length <= connectSizeMax) return []
  const { packets } = decode(Buffer.concat(heard), versionOf(said), 'client')
  const isIn = packets.some(packet => packet.type === PacketType.Connack && packet.reasonCode === 0)
  return isIn ? [`a CONNECT of ${at + 1 + length} bytes was let in`] : []
}

function answersOf({ heard, sent, stream }: Peer): string[] {
  const version = versionOf(Buffer.concat(sent))
  const { packets } = decode(Buffer.concat(heard), version, 'client')
  const names = packets.map(packet => {
    const code = 'reasonCode' in packet ? packet.reasonCode : 'reasonCodes' in packet ? packet.reasonCodes.join('+') : ''
    const flags = packet.type === PacketType.Publish ? `${packet.qos}${packet.retain ? 'r' : ''}${packet.dup ? 'd' : ''}` : ''
    return `${version}:${packet.type}:${code}${flags}`
  })
  if (stream.destroyed || stream.readableEnded) names.push(`${version}:closed`)
  return names
}

function decode(bytes: Buffer, version: ProtocolVersion, receiver: 'client' | 'server') {
  const packets: Packet[] = []
  const decoder = new PacketDecoder({ onPacket: packet => packets.push(packet) }, { maximumPacketSize: 268_435_460, receiver })
  if (receiver === 'client') decoder.version = version
  let error: string | null = null
  try {
    decoder.feed(bytes, 0, bytes.length)
  } catch (fault) {
    error = text(fault)
  }
  return { packets, error, pending: decoder.pendingBytes }
}

/** The protocol level of the CONNECT at the start; what is none, or unknown, is answered as MQTT 3.1.1, or as MQTT 5 where it names a later one. */
function versionOf(sent: Buffer): ProtocolVersion {
  if (sent[0] !== 0x10) return 4
  let at = 1
  while (at < 5 && (sent[at] ?? 0) >= 0x80) at += 1
  at += 1
  const length = ((sent[at] ?? 0) << 8) | (sent[at + 1] ?? 0)
  const level = sent[at + 2 + length] ?? 4
  // mosquitto's bridges set the highest bit.
  const plain = level & 0x7f
  return plain === 3 ? 3 : plain >= 5 ? 5 : 4
}

function text(error: unknown): string {
  return error instanceof Error
    ? `${error.message}${error.stack === undefined ? '' : `\n${error.stack.split('\n').slice(1, 4).join('\n')}`}`
    : String(error)
}
