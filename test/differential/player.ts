import { connect, type Socket } from 'node:net'
import mqtt, { type IPublishPacket, type Packet, type Parser } from 'mqtt-packet'
import { bytesOf } from './misbehaviour.ts'
import type { HandedOn, Member, Script, Step } from './script.ts'

/** What one connection heard during one step. */
export interface Heard {
  readonly step: number
  readonly who: number
  /** Which connection of this client, from 1 on. */
  readonly connection: number
  /** What answers the client's own packets, and what ends its connection. */
  readonly answers: readonly Answer[]
  /** PUBLISH packets, in their order. */
  readonly deliveries: readonly Delivery[]
}

export interface Answer {
  readonly cmd: string
  readonly fields: Readonly<Record<string, unknown>>
}

export interface Delivery {
  readonly topic: string
  readonly text: string
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
  readonly properties: Readonly<Record<string, unknown>>
}

/** All that the clients of a script heard of one broker. */
export type Trace = readonly Heard[]

// Nothing waits for it: a broker that says nothing for so long is broken, however busy the machine.
const silenceMs = 60_000

/** Plays scripts against one broker, one after the other, and leaves nothing behind. */
export class Player {
  readonly #port: number

  constructor(port: number) {
    this.#port = port
  }

  async play(script: Script): Promise<Trace> {
    const stage = new Stage(this.#port, script)
    try {
      for (const [i, step] of script.steps.entries()) await stage.act(i, step)
      return stage.trace
    } finally {
      await stage.clear()
    }
  }
}

class Stage {
  readonly trace: Heard[] = []
  readonly #port: number
  readonly #actors: Actor[]
  readonly #retained = new Set<string>()

  constructor(port: number, script: Script) {
    this.#port = port
    this.#actors = script.clients.map((member, who) => new Actor(port, who, `d${script.seed}-${who}`, member))
  }

  async act(i: number, step: Step): Promise<void> {
    if (step.do === 'publish' && step.retain) this.#retained.add(step.topic)
    if (step.do === 'connect' && step.will?.retain === true) this.#retained.add(step.will.topic)
    await this.#actors[step.who]!.act(step)
    await this.#settle()
    this.#note(i)
  }

  /** Sessions and retained messages of this script go, so that the next one finds none. */
  async clear(): Promise<void> {
    for (const actor of this.#actors) await actor.end()
    const sweeper = new Connection(this.#port, 4)
    await sweeper.opened
    sweeper.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'sweeper', keepalive: 0 })
    for (const topic of this.#retained) sweeper.send({ cmd: 'publish', topic, payload: '', qos: 0, retain: true, dup: false })
    await sweeper.ping()
    sweeper.send({ cmd: 'disconnect' })
    await sweeper.finished
  }

  /** A ping is answered after all that was on its way; whoever had something to acknowledge in the meantime is asked again. */
  async #settle(): Promise<void> {
    for (let isBusy = true; isBusy; ) {
      const replied = this.#actors.map(actor => actor.replies)
      await Promise.all(this.#actors.map(actor => actor.ping()))
      isBusy = this.#actors.some((actor, i) => actor.replies !== replied[i])
    }
  }

  #note(step: number): void {
    for (const actor of this.#actors)
      for (const connection of actor.connections) {
        const { answers, deliveries } = connection.take()
        if (answers.length + deliveries.length > 0)
          this.trace.push({ step, who: actor.who, connection: connection.number, answers, deliveries })
      }
  }
}

/** One client of a script, over all its connections. */
class Actor {
  readonly who: number
  readonly connections: Connection[] = []
  /** How many packets of the broker it has answered. */
  replies = 0
  readonly #port: number
  readonly #id: string
  readonly #member: Member
  #connection: Connection | null = null
  #lastId = 0
  #holds: 'no' | 'all' | 'half' = 'no'
  #held: (() => void)[] = []
  readonly #received = new Set<number>()
  #releases: number[] = []
  readonly #aliases = new Map<number, string>()

  constructor(port: number, who: number, id: string, member: Member) {
    this.#port = port
    this.who = who
    this.#id = id
    this.#member = member
  }

  async ping(): Promise<void> {
    await this.#connection?.ping()
  }

  async act(step: Step): Promise<void> {
    const connection = this.#connection
    if (step.do === 'connect') return this.#connect(step, connection)
    if (connection === null || connection.isClosed) return
    switch (step.do) {
      case 'subscribe': {
        const subscriptions = step.asks.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) =>
          this.#member.version === 5
            ? { topic: filter, qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling }
            : { topic: filter, qos },
        )
        const properties = step.identifier > 0 ? { properties: { subscriptionIdentifier: step.identifier } } : {}
        return connection.send({ cmd: 'subscribe', messageId: this.#nextId(), subscriptions: subscriptions as never, ...properties })
      }
      case 'unsubscribe':
        return connection.send({ cmd: 'unsubscribe', messageId: this.#nextId(), unsubscriptions: [...step.filters] })
      case 'publish':
        return this.#publish(step, connection)
      case 'hold':
        this.#holds = 'all'
        return
      case 'half':
        this.#holds = 'half'
        return
      case 'release':
        this.#holds = 'no'
        for (const answer of this.#held.splice(0)) answer()
        return
      case 'drop':
        connection.drop()
        return connection.finished
      case 'leave':
        connection.send(this.#member.version === 5 ? { cmd: 'disconnect', reasonCode: step.withWill ? 4 : 0 } : { cmd: 'disconnect' })
        return connection.finished
      case 'misbehave':
        return connection.write(bytesOf(step.kind, this.#member.version))
    }
  }

  /** Leaves no session. */
  async end(): Promise<void> {
    if (this.#connection !== null && !this.#connection.isClosed) this.#connection.drop()
    await this.#connection?.finished
    const last = new Connection(this.#port, 4)
    await last.opened
    last.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: this.#id, keepalive: 0 })
    await last.ping()
    last.send({ cmd: 'disconnect' })
    await last.finished
  }

  async #connect({ clean, receiveMaximum, will }: Extract<Step, { do: 'connect' }>, old: Connection | null): Promise<void> {
    const { version, isKept } = this.#member
    const connection = new Connection(this.#port, version, this.connections.length + 1, packet => this.#answer(packet, connection))
    this.connections.push(connection)
    this.#connection = connection
    this.#holds = 'no'
    this.#held = []
    this.#aliases.clear()
    await connection.opened
    connection.send({
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clean: version === 5 ? clean : !isKept,
      clientId: this.#id,
      keepalive: 600,
      ...(version === 5 && {
        properties: { ...(isKept && { sessionExpiryInterval: 0xffff_ffff }), ...(receiveMaximum > 0 && { receiveMaximum }) },
      }),
      ...(will !== null && {
        will: {
          topic: will.topic,
          payload: Buffer.from(will.text),
          qos: will.qos,
          retain: will.retain,
          ...(version === 5 && { properties: propertiesOf(will.properties) }),
        },
      }),
    } as Packet)
    await connection.ping()
    await old?.finished
    if (!connection.isSessionPresent) {
      this.#releases = []
      this.#received.clear()
    }
    for (const messageId of this.#releases.splice(0)) connection.send({ cmd: 'pubrel', messageId })
  }

  #publish({ topic, text, qos, retain, alias, half, properties }: Extract<Step, { do: 'publish' }>, connection: Connection): void {
    const isKnown = alias > 0 && this.#aliases.get(alias) === topic
    if (alias > 0) this.#aliases.set(alias, topic)
    const messageId = qos > 0 ? this.#nextId() : undefined
    if (half) connection.unreleased.add(messageId!)
    connection.send({
      cmd: 'publish',
      topic: isKnown ? '' : topic,
      payload: text,
      qos,
      retain,
      dup: false,
      messageId,
      ...(this.#member.version === 5 && { properties: { ...propertiesOf(properties), ...(alias > 0 && { topicAlias: alias }) } }),
    } as IPublishPacket)
  }

  /** What the standard asks of a client, unless it holds back. */
  #answer(packet: Packet, connection: Connection): void {
    const { cmd } = packet
    const messageId = packet.messageId as number
    if (cmd === 'pubrec') {
      if (((packet as { reasonCode?: number }).reasonCode ?? 0) >= 0x80) return
      if (connection.unreleased.has(messageId)) this.#releases.push(messageId)
      else this.#say(() => connection.send({ cmd: 'pubrel', messageId }))
    } else if (cmd === 'publish' && packet.qos > 0) {
      const answer = (): void => {
        if (packet.qos === 2) this.#received.add(messageId)
        connection.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId })
      }
      if (this.#holds === 'all' || (this.#holds === 'half' && packet.qos === 1)) this.#held.push(answer)
      else this.#say(answer)
    } else if (cmd === 'pubrel') {
      const answer = (): void => {
        this.#received.delete(messageId)
        connection.send({ cmd: 'pubcomp', messageId })
      }
      if (this.#holds === 'no') this.#say(answer)
      else this.#held.push(answer)
    }
  }

  #say(answer: () => void): void {
    this.replies += 1
    answer()
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 60_000) + 1
    return this.#lastId
  }
}

/** One connection: what it hears, and its end. */
class Connection {
  readonly number: number
  readonly opened: Promise<void>
  /** Both sides have closed it. */
  readonly finished: Promise<void>
  /** QoS 2 messages whose PUBREL is left for the next connection. */
  readonly unreleased = new Set<number>()
  isClosed = false
  isSessionPresent = false
  readonly #socket: Socket
  readonly #parser: Parser
  readonly #version: number
  #answers: Answer[] = []
  #deliveries: Delivery[] = []
  #pinged: (() => void) | null = null
  readonly #aliases = new Map<number, string>()

  constructor(port: number, version: 3 | 4 | 5, number = 0, answer: (packet: Packet) => void = () => {}) {
    this.number = number
    this.#version = version
    this.#parser = mqtt.parser({ protocolVersion: version })
    this.#parser.on('packet', packet => {
      this.#heard(packet)
      answer(packet)
    })
    this.#parser.on('error', (error: Error) => this.#answers.push({ cmd: 'unreadable', fields: { text: error.message } }))
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true, timeout: silenceMs })
    this.opened = new Promise((resolve, reject) => {
      this.#socket.once('connect', resolve)
      this.#socket.once('error', reject)
    })
    this.#socket.on('data', chunk => this.#parser.parse(chunk))
    this.#socket.on('error', () => {})
    this.finished = new Promise(resolve => {
      const ended = (): void => {
        if (this.isClosed) return
        this.isClosed = true
        this.#answers.push({ cmd: 'closed', fields: {} })
        this.#pinged?.()
        this.#socket.destroy()
        resolve()
      }
      this.#socket.on('end', ended)
      this.#socket.on('close', ended)
      this.#socket.on('timeout', () => {
        this.#answers.push({ cmd: 'silence', fields: {} })
        ended()
      })
    })
  }

  send(packet: Packet): void {
    this.write(mqtt.generate(packet, { protocolVersion: this.#version }))
  }

  write(bytes: Buffer): void {
    if (!this.isClosed) this.#socket.write(bytes)
  }

  /** Ends without DISCONNECT. */
  drop(): void {
    this.#socket.end()
  }

  /** Resolves when all that was on its way has come, or the connection has ended. */
  ping(): Promise<void> {
    if (this.isClosed) return Promise.resolve()
    return new Promise(resolve => {
      this.#pinged = resolve
      this.write(Buffer.from([0xc0, 0]))
    })
  }

  take(): { answers: readonly Answer[]; deliveries: readonly Delivery[] } {
    const taken = { answers: this.#answers, deliveries: this.#deliveries }
    this.#answers = []
    this.#deliveries = []
    return taken
  }

  #heard(packet: Packet): void {
    if (packet.cmd === 'pingresp') {
      const pinged = this.#pinged
      this.#pinged = null
      pinged?.()
    } else if (packet.cmd === 'publish') this.#deliveries.push(this.#deliveryOf(packet))
    else this.#answers.push(answerOf(packet))
    if (packet.cmd === 'connack') this.isSessionPresent = packet.sessionPresent
  }

  #deliveryOf(packet: IPublishPacket): Delivery {
    const { topicAlias, ...properties } = { ...packet.properties }
    let { topic } = packet
    // An alias is the sender's own affair.
    if (topicAlias !== undefined) {
      if (topic === '') topic = this.#aliases.get(topicAlias) ?? `alias ${topicAlias}`
      else this.#aliases.set(topicAlias, topic)
    }
    return { topic, text: String(packet.payload), qos: packet.qos, retain: packet.retain, dup: packet.dup, properties: plain(properties) }
  }
}

function answerOf(packet: Packet): Answer {
  const { cmd, ...rest } = packet as unknown as Record<string, unknown>
  const { properties, length: _, payload: __, topic: ___, qos: ____, retain: _____, dup: ______, ...fields } = rest
  // The identifier of a PUBREL is the broker's own choice; the others repeat the client's.
  if (cmd === 'pubrel') delete fields.messageId
  for (const [name, value] of Object.entries(plain((properties as Record<string, unknown>) ?? {}))) fields[`properties.${name}`] = value
  return { cmd: String(cmd), fields }
}

/** What can be compared by its text. */
function plain(properties: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(properties)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [
        name,
        Buffer.isBuffer(value) ? value.toString('latin1') : typeof value === 'object' ? { ...(value as object) } : value,
      ]),
  )
}

function propertiesOf(properties: HandedOn): object {
  return { ...properties }
}
