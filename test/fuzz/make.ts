import fc from 'fast-check'
import { PacketType, type ProtocolVersion, type QoS } from '../../core/protocol/constants.ts'
import type { Packet, Properties } from '../../core/protocol/packets.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { aClientPacket } from '../protocol/arbitraries.ts'
import { connectPacket } from '../support/client.ts'
import type { BrokerName, Script, Step } from './script.ts'

const topics = ['a', 'a/b', 'a/b/c', 'a/b/c/d', '$SYS/x', '/', 'secret/x', 'a//b', 'bystander/x']
const filters = ['a', 'a/+', '#', '+/b', '$share/g/a/#', '$share/g/#', '$SYS/#', 'secret/#', 'a/b/#', '+', 'a/#/b', '$share/g']
// All that match a/b/c/d, each in another way.
const overlapping = ['a', 'b', 'c', 'd'].reduceRight<string[]>(
  (below, level) => [...[level, '+'].flatMap(one => below.map(rest => (rest === '' ? one : `${one}/${rest}`))), '#'],
  [''],
)
const versions = [3, 4, 5] as const
const clients = 3

/** Scripts at random, the same ones for the same numbers. */
export class Maker {
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  /** One of its own, or one made of what the corpus has. */
  script(corpus: readonly Script[]): Script {
    if (corpus.length === 0 || this.#random() < 0.4) return this.#fresh()
    const base = this.#one(corpus)
    const steps = this.#random() < 0.2 ? [...base.steps, ...this.#one(corpus).steps] : [...base.steps]
    for (let n = 1 + this.#below(4); n > 0; n--) this.#mutate(steps, base.broker)
    return { broker: base.broker, steps: steps.slice(0, 60) }
  }

  #fresh(): Script {
    const broker = this.#one(['plain', 'plain', 'guarded', 'owned'] as const)
    const spoken = Array.from({ length: clients }, () => this.#one(versions))
    const steps: Step[] = []
    for (let client = 0; client < clients; client++) {
      if (client > 0 && this.#random() < 0.4) continue
      if (this.#random() < 0.9) steps.push(this.#send(client, this.#connect(client, spoken[client]!, broker), spoken[client]!))
    }
    for (let n = this.#below(16); n > 0; n--) {
      const client = this.#below(clients)
      steps.push(this.#step(client, spoken[client]!, broker))
    }
    while (this.#random() < 0.3 && steps.length > 0) this.#mutate(steps, broker)
    return { broker, steps }
  }

  #step(client: number, version: ProtocolVersion, broker: BrokerName): Step {
    const choice = this.#random()
    if (choice < 0.05) return { kind: 'drop', client }
    if (choice < 0.08) return { kind: 'hold', client }
    if (choice < 0.11) return { kind: 'read', client }
    if (choice < 0.17) return { kind: 'wait', ms: this.#one([300, 2000, 30_000, 61_000, 100_000]) }
    if (choice < 0.27) return this.#send(client, this.#connect(client, version, broker), version)
    if (choice < 0.3) return this.#send(client, this.#manyFilters(), version)
    if (choice < 0.33) return this.#burst(client, version)
    if (choice < 0.43) {
      const [packet] = fc.sample(aClientPacket(version), { numRuns: 1, seed: this.#below(2 ** 31) })
      return this.#send(client, packet!, version)
    }
    return this.#send(client, this.#packet(version), version)
  }

  // Few names and few identifiers, so that what one says has to do with what another says.
  #packet(version: ProtocolVersion): Packet {
    const packetId = 1 + this.#below(4)
    const qos = this.#below(3) as QoS
    const properties = version === 5 && this.#random() < 0.3 ? this.#properties() : undefined
    switch (this.#below(8)) {
      case 0:
      case 1: {
        const subscription = {
          qos,
          noLocal: version === 5 && this.#random() < 0.2,
          retainAsPublished: version === 5 && this.#random() < 0.3,
          retainHandling: (version === 5 ? this.#below(3) : 0) as 0 | 1 | 2,
        }
        const subscriptions = Array.from({ length: 1 + this.#below(3) }, () => ({ filter: this.#one(filters), ...subscription }))
        return { type: PacketType.Subscribe, packetId, subscriptions, properties: undefined }
      }
      case 2:
        return { type: PacketType.Unsubscribe, packetId, filters: [this.#one(filters)], properties: undefined }
      case 3:
        return this.#one<Packet>([
          { type: PacketType.Pingreq },
          { type: PacketType.Disconnect, reasonCode: version === 5 ? this.#one([0, 4, 0x82]) : 0, properties: undefined },
        ])
      case 4: {
        const type = this.#one([PacketType.Puback, PacketType.Pubrec, PacketType.Pubrel, PacketType.Pubcomp] as const)
        return { type, packetId, reasonCode: version === 5 ? this.#one([0, 0x92]) : 0, properties: undefined }
      }
      default:
        return {
          type: PacketType.Publish,
          topic: this.#one(topics),
          payload: Buffer.alloc(this.#one([0, 1, 200, 5000]), 'p'),
          qos,
          retain: this.#random() < 0.3,
          dup: qos > 0 && this.#random() < 0.2,
          packetId: qos > 0 ? packetId : 0,
          properties,
        }
    }
  }

  /** So many filters that all match one topic, that a publish to it is much work. */
  #manyFilters(): Packet {
    const groups = this.#one([0, 1, 3])
    const shared = Array.from({ length: groups }, (_, group) => overlapping.map(filter => `$share/g${group}/${filter}`)).flat()
    const subscriptions = [...overlapping, ...shared].slice(0, this.#one([3, 30, 200])).map(filter => ({
      filter,
      qos: this.#below(3) as QoS,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
    }))
    return { type: PacketType.Subscribe, packetId: 1 + this.#below(4), subscriptions, properties: undefined }
  }

  /** Many publishes to that topic in one write. */
  #burst(client: number, version: ProtocolVersion): Step {
    const publish: Packet = {
      type: PacketType.Publish,
      topic: 'a/b/c/d',
      payload: Buffer.from('p'),
      qos: 0,
      retain: false,
      dup: false,
      packetId: 0,
      properties: undefined,
    }
    return { kind: 'send', client, bytes: Buffer.concat(Array(this.#one([2, 20])).fill(encodePacket(publish, version))) }
  }

  #properties(): Properties {
    return this.#one<Properties>([
      { messageExpiry: this.#one([0, 1, 100]) },
      { topicAlias: this.#one([1, 2, 40]) },
      { responseTopic: 'a', correlationData: Buffer.from([1]) },
      { userProperties: [['k', 'v']] },
      { payloadFormat: 1, contentType: 'x' },
    ])
  }

  #connect(client: number, version: ProtocolVersion, broker: BrokerName): Packet {
    const isOwned = broker === 'owned'
    const lasting = this.#random() < 0.5
    const will = { topic: this.#one(topics), payload: Buffer.from('will'), qos: this.#below(3) as QoS, retain: this.#random() < 0.3 }
    const properties: Properties = {}
    if (version === 5 && lasting) properties.sessionExpiry = this.#one([1, 60, 3600, 0xffff_ffff])
    if (version === 5 && this.#random() < 0.3) properties.receiveMaximum = this.#one([1, 2, 10])
    if (version === 5 && this.#random() < 0.2) properties.maximumPacketSize = this.#one([20, 300])
    if (version === 5 && this.#random() < 0.1) properties.authenticationMethod = 'ask'
    if (version === 5 && this.#random() < 0.2) properties.topicAliasMaximum = 2
    // More than a broker takes, where it takes little: in one text, or in many properties.
    const isOversized = this.#random() < (isOwned ? 0.1 : 0.02)
    if (isOversized && version === 5) properties.userProperties = Array.from({ length: 200 }, () => ['k', 'v'])
    const sharing = isOwned ? 0.7 : 0.15
    const name = isOwned ? this.#one(['ann', 'bob', 'bob', 'eve']) : this.#one(['good', 'bad'])
    return connectPacket({
      version,
      // Two of the three share an id now and then: one takes the other's session over, or is kept from it where users own them.
      clientId: `${this.#random() < sharing ? 'shared' : `c${client}`}${isOversized && version !== 5 ? 'x'.repeat(1100) : ''}`,
      cleanStart: version === 5 ? this.#random() < 0.3 : !lasting,
      keepAlive: this.#one([0, 0, 1, 60]),
      ...(this.#random() < (isOwned ? 0.8 : 0.3) ? { username: name, password: 'x' } : {}),
      ...(this.#random() < 0.3 ? { will } : {}),
      properties: version === 5 ? properties : undefined,
    } as never)
  }

  #send(client: number, packet: Packet, version: ProtocolVersion): Step {
    return { kind: 'send', client, bytes: encodePacket(packet, version) }
  }

  #mutate(steps: Step[], broker: BrokerName): void {
    if (steps.length === 0) return void steps.push({ kind: 'send', client: 0, bytes: Buffer.from([0x10]) })
    const at = this.#below(steps.length)
    const step = steps[at]!
    switch (this.#below(7)) {
      case 0:
        steps.splice(at, 1)
        return
      case 1:
        steps.splice(at, 0, step)
        return
      case 2:
        steps.push(...steps.splice(at, 1))
        return
      case 3:
        if (step.kind !== 'wait') steps[at] = { ...step, client: this.#below(clients) }
        return
      case 4:
        if (step.kind === 'send') {
          const cut = this.#below(step.bytes.length + 1)
          steps.splice(at, 1, { ...step, bytes: step.bytes.subarray(0, cut) }, { ...step, bytes: step.bytes.subarray(cut) })
        }
        return
      default:
        if (step.kind === 'send') steps[at] = { ...step, bytes: this.#damaged(step.bytes) }
        else steps[at] = this.#step(this.#below(clients), this.#one(versions), broker)
    }
  }

  #damaged(bytes: Buffer): Buffer {
    const list = [...bytes]
    for (let n = 1 + this.#below(3); n > 0; n--) {
      const at = this.#below(list.length + 1)
      const choice = this.#below(4)
      if (choice === 0) list[at] = (list[at] ?? 0) ^ (1 << this.#below(8))
      else if (choice === 1) list.splice(at, 1)
      else if (choice === 2) list.splice(at, 0, this.#one([0, 1, 0x7f, 0x80, 0xff, this.#below(256)]))
      else list[at] = this.#one([0, 1, 0x23, 0x2b, 0x2f, 0x80, 0xff])
    }
    return Buffer.from(list.map(byte => byte ?? 0))
  }

  #one<T>(of: readonly T[]): T {
    return of[this.#below(of.length)]!
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}
