import type { Duplex } from 'node:stream'
import { PacketType, type ProtocolVersion } from '../../../core/protocol/constants.ts'
import type { ConnectPacket, Packet } from '../../../core/protocol/packets.ts'
import type { TracePiece } from '../../../plugins/admin/answers.ts'
import { reasonName } from '../../../plugins/kit/reason-name.ts'
import { type Difference, differences, inShort } from './compare.ts'
import { connectOf, type Filling, type NumberedLine, packetOf, readRecording, subscribeOf } from './recording.ts'
import { ReplayedClient } from './replayed-client.ts'

/** How a recording is replayed. */
export interface ReplayOptions {
  /** A new connection to the broker: `() => broker.stream()` of a test broker, or a socket. */
  connect(): Duplex | Promise<Duplex>
  /** The password of a user name, which no recording has. Default: none is sent. */
  readonly passwordOf?: (username: string) => string | undefined
  /** Milliseconds of real time that an answer is waited for. Default 5000. */
  readonly waitMs?: number
  /** Packets are sent as long after one another as they were recorded. Default: as soon as what was recorded before them has come. */
  readonly keepTime?: boolean
}

/** What became of a replay. */
export interface ReplayAnswer {
  /** The broker has answered as it was recorded. */
  readonly same: boolean
  /** Packets that were sent. */
  readonly sent: number
  /** Answers that were compared. */
  readonly compared: number
  /** Messages in the recording that come from somebody else than its clients, or were retained before: they may come, and are not waited for. */
  readonly others: number
  /** Lines that were passed over, because their client's connection had ended, or was refused. */
  readonly skipped: number
  /** Packets that the recording lacks, because whoever made it did not read in time. */
  readonly lost: number
  /** Where the answers differ, the first 200. */
  readonly rows: readonly Difference[]
}

const rowsMax = 200

/**
 * Has the clients of a recording, made by `mqttx-broker trace ID --json`, say to a broker what they said then, and tells where its answers differ. Payloads that were not
 * recorded are `x`, as many as there were bytes. Rejects with an `OperatorError` where a line is none of a trace, and as `connect` does.
 */
export async function replay(recording: Iterable<unknown>, options: ReplayOptions): Promise<ReplayAnswer> {
  const { lines, lost } = readRecording(recording)
  const run = new Replay(options)
  let before = lines[0]?.line.at ?? 0
  for (const numbered of lines) {
    const { at, way } = numbered.line
    if (options.keepTime === true && way === 'in' && at > before) await new Promise(resolve => setTimeout(resolve, at - before))
    before = at
    await run.line(numbered)
  }
  await run.finish()
  const { sent, compared, others, skipped, rows } = run
  return { same: rows.length === 0, sent, compared, others, skipped, lost, rows: rows.slice(0, rowsMax) }
}

class Replay {
  readonly #options: ReplayOptions
  readonly #waitMs: number
  // The connection of each client id, and the one that it had before, until that has ended.
  readonly #clients = new Map<string, ReplayedClient>()
  readonly #former = new Map<string, ReplayedClient>()
  readonly #all: [id: string, client: ReplayedClient][] = []
  // Which topics the recording's own clients have published to, wills included; and what their aliases stand for.
  readonly #published = new Set<string>()
  readonly #aliases = new Map<string, string>()
  readonly rows: Difference[] = []
  sent = 0
  compared = 0
  others = 0
  skipped = 0

  constructor(options: ReplayOptions) {
    this.#options = options
    this.#waitMs = options.waitMs ?? 5000
  }

  async line({ number, line }: NumberedLine): Promise<void> {
    if (line.way === 'open') return await this.#open(number, line)
    if (line.way === 'in' && line.packet === 'CONNECT') return await this.#connect(line)
    const client = this.#clientFor(line)
    if (client === null || client.over) this.skipped += line.way === 'end' ? 0 : 1
    else if (line.way === 'in') this.#say(number, line, client)
    else if (line.way === 'out') await this.#expect(number, line, client)
    else await this.#end(number, line, client)
  }

  /** What has come and was not recorded. */
  async finish(): Promise<void> {
    for (const [, client] of this.#all) if (!client.closed) await client.settled(this.#waitMs)
    for (const [id, client] of this.#all) {
      for (const packet of client.unexpected) this.#row(null, id, nameOf(packet), 'all', 'nothing', inShort(packet))
      client.destroy()
    }
  }

  // Of two connections of a client id, what the broker says of the end is about the older one.
  #clientFor({ id, way, packet }: TracePiece): ReplayedClient | null {
    const former = this.#former.get(id)
    const isEnding = way === 'end' || (way === 'out' && packet === 'DISCONNECT')
    if (former === undefined || !isEnding) return this.#clients.get(id) ?? null
    if (way === 'end') this.#former.delete(id)
    return former
  }

  async #begin(id: string, version: ProtocolVersion): Promise<ReplayedClient> {
    const before = this.#clients.get(id)
    const client = new ReplayedClient(await this.#options.connect(), version, before?.identifiers ?? new Map())
    if (before !== undefined && !before.over) this.#former.set(id, before)
    this.#clients.set(id, client)
    this.#all.push([id, client])
    return client
  }

  async #connect(line: TracePiece): Promise<void> {
    const packet = packetOf(line, this.#filling(line.version as ProtocolVersion)) as ConnectPacket
    if (packet.will !== undefined) this.#published.add(packet.will.topic)
    const client = await this.#begin(line.id, packet.version)
    client.send(packet)
    this.sent += 1
  }

  /** One that was connected when the recording began comes with what it had subscribed to. */
  async #open(number: number, line: TracePiece): Promise<void> {
    const version = line.version as ProtocolVersion
    const client = await this.#begin(line.id, version)
    client.send(connectOf(line, this.#filling(version)))
    const connack = await client.take(({ type }) => type === PacketType.Connack, this.#waitMs)
    if (connack === null || (connack as { reasonCode: number }).reasonCode !== 0) {
      client.over = true
      return this.#row(number, line.id, 'CONNACK', 'all', 'it was connected', connack === null ? 'no answer' : inShort(connack))
    }
    const packetId = 65_535
    const subscribe = subscribeOf(line, packetId)
    if (subscribe !== null) {
      client.send(subscribe)
      const suback = await client.take(({ type }) => type === PacketType.Suback, this.#waitMs)
      const codes = (suback as { reasonCodes: number[] } | null)?.reasonCodes ?? []
      for (const [i, { filter, qos }] of subscribe.subscriptions.entries())
        if (codes[i] !== qos)
          this.#row(number, line.id, 'SUBACK', filter, String(qos), codes[i] === undefined ? 'no answer' : reasonOf(codes[i]))
    }
    // Retained messages, which clients before MQTT 5 get with each SUBSCRIBE.
    await client.settled(this.#waitMs)
    client.left = []
  }

  #say(number: number, line: TracePiece, client: ReplayedClient): void {
    if (client.closed) return this.#closedEarly(number, line.id, client, inShort(line))
    const { packet = '', packetId } = line
    // What the client acknowledges is named by the broker.
    const isOfBroker = packet === 'PUBACK' || packet === 'PUBREC' || packet === 'PUBCOMP'
    const identifier = isOfBroker ? client.identifierOf(packetId as number) : undefined
    if (isOfBroker && identifier === undefined) {
      this.skipped += 1
      return
    }
    if (packet === 'PUBLISH') this.#published.add(this.#topicOf(line))
    client.send(packetOf(line, this.#filling(client.version), identifier))
    this.sent += 1
    if (packet === 'DISCONNECT') client.end()
  }

  #topicOf({ id, topic, properties }: TracePiece): string {
    const alias = (properties as { topicAlias?: number } | undefined)?.topicAlias
    if (alias === undefined) return topic as string
    const key = `${alias} ${id}`
    if (topic !== '') this.#aliases.set(key, topic as string)
    return this.#aliases.get(key) ?? ''
  }

  async #expect(number: number, line: TracePiece, client: ReplayedClient): Promise<void> {
    const { id, packet = '', topic, packetId } = line
    if (packet === 'PUBLISH' && !this.#published.has(topic as string)) {
      this.others += 1
      client.mayCome.push({ packetId: packetId as number, topic: topic as string })
      return
    }
    // What the broker acknowledges is named by the client, and what it releases by itself.
    const named = packet === 'PUBREL' ? client.identifiers.get(packetId as number) : packetId
    if (packet === 'PUBREL' && named === undefined) {
      this.skipped += 1
      return
    }
    const isIt = (one: Packet): boolean =>
      nameOf(one) === packet &&
      (packet === 'PUBLISH' ? 'topic' in one && one.topic === topic : !('packetId' in one) || one.packetId === named)
    const answered = await client.take(isIt, this.#waitMs)
    if (answered === null && client.closed) return this.#closedEarly(number, id, client, inShort(line))
    this.compared += 1
    if (answered === null) return this.#row(number, id, packet, 'all', inShort(line), `nothing within ${this.#waitMs} ms`)
    if (packet === 'PUBLISH' && 'packetId' in answered) client.identifiers.set(packetId as number, answered.packetId)
    this.rows.push(...differences(number, line, answered))
    if (packet === 'CONNACK' && 'reasonCode' in answered && answered.reasonCode !== 0) client.over = true
  }

  /** The connection ended then: by the client or the network, so it is ended now; or by the broker. */
  async #end(number: number, line: TracePiece, client: ReplayedClient): Promise<void> {
    if (line.by === 'server') {
      this.compared += 1
      const isEnded = await client.ended(this.#waitMs)
      if (!isEnded) this.#row(number, line.id, 'connection', 'end', `closed by the broker: ${line.reason}`, 'it is open')
    }
    client.destroy()
  }

  #closedEarly(number: number, id: string, client: ReplayedClient, recorded: string): void {
    client.over = true
    const farewell = client.left.find(({ type }) => type === PacketType.Disconnect) as { reasonCode: number } | undefined
    client.left = client.left.filter(packet => packet !== (farewell as unknown))
    const why = farewell === undefined ? '' : ` (${reasonOf(farewell.reasonCode)})`
    this.#row(number, id, 'connection', 'all', recorded, `the broker has closed the connection${why}`)
  }

  #row(line: number | null, id: string, packet: string, what: string, recorded: string, answered: string): void {
    this.rows.push({ line, id, packet, what, recorded, answered })
  }

  #filling(version: ProtocolVersion): Filling {
    return { version, passwordOf: username => this.#options.passwordOf?.(username) }
  }
}

const names = new Map<number, string>(Object.entries(PacketType).map(([name, type]) => [type, name.toUpperCase()]))

function nameOf({ type }: Packet): string {
  return names.get(type)!
}

function reasonOf(code: number): string {
  return code < 0x80 ? String(code) : `${code} ${reasonName(code)}`
}
