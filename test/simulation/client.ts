import type { Packet } from 'mqtt-packet'
import mqtt from 'mqtt-packet'
import type { Conn, Life, Sent, Sub, WillModel } from './history.ts'
import type { Model } from './model.ts'
import type { Chance } from './world/chance.ts'
import type { SimConnection } from './world/network.ts'
import type { SimNode } from './world/node.ts'
import type { World } from './world/world.ts'

/** What a client is, for the whole run. */
export interface ClientTerms {
  readonly id: string
  readonly version: 4 | 5
  /** Its session outlives its connection. */
  readonly durable: boolean
  /** Milliseconds that its session lives on; `Infinity`: for ever. MQTT 3.1.1 has no choice. */
  readonly expiryMs: number
  /** Seconds; 0: none. */
  readonly keepAlive: number
  /** 0: says nothing, so 65,535. Before MQTT 5 nothing can be said. */
  readonly receiveMaximum: number
}

/** What is asked of a client. */
export interface PublishAsk {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly retain?: boolean
  readonly expiryS?: number
  readonly size?: number
  /** An empty payload: takes a retained message away. */
  readonly empty?: boolean
}

export interface SubscribeAsk {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly rap?: boolean
  readonly noLocal?: boolean
  readonly retainHandling?: 0 | 1 | 2
}

export interface WillAsk {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly delayS: number
  readonly retain: boolean
}

interface Out {
  readonly packetId: number
  readonly sent: Sent
  readonly ask: PublishAsk
  released: boolean
  /** When it said so last. */
  at: number
}

interface Asked {
  readonly kind: 'subscribe' | 'unsubscribe'
  readonly at: number
  readonly subs: readonly Sub[]
}

// What waits until there is a connection.
const todoMax = 200
const connackMs = 8000
const stolenMs = 45_000

/** An MQTT client of our own on an independent codec: it keeps its session as the standard asks, and tells the model what it sees. */
export class SimClient {
  readonly terms: ClientTerms
  readonly #world: World
  readonly #chance: Chance
  readonly #model: Model
  #node: SimNode
  #connection: SimConnection | null = null
  #conn: Conn | null = null
  #life: Life | null = null
  #isOn = false
  /** It connects again by itself. */
  isWanted = false
  #cleanNext = false
  #will: WillAsk | null = null
  #lastId = 0
  readonly #out = new Map<number, Out>()
  readonly #in2 = new Set<number>()
  readonly #unacked = new Map<number, number>()
  readonly #asked = new Map<number, Asked>()
  #todo: (() => void)[] = []
  #window = 65_535
  #heldUntil = 0
  #acks: (() => void)[] = []
  #pausedUntil = 0
  #pingAt = 0
  #pingDue: number | null = null
  #retryMs = 50
  #isOldClosed: () => boolean = () => false

  readonly #allowed: number

  constructor(world: World, model: Model, terms: ClientTerms, node: SimNode, allowed = 65_535) {
    this.#world = world
    this.#model = model
    this.terms = terms
    this.#node = node
    this.#allowed = allowed
    this.#chance = world.chance.fork(`client ${terms.id}`)
  }

  get isOn(): boolean {
    return this.#isOn
  }

  /** Since when it is connected: milliseconds of the world. */
  get connectedSince(): number {
    return this.#conn?.connackAt ?? this.#world.now
  }

  get life(): Life | null {
    return this.#life
  }

  /** What it has asked more than `ms` ago, on its present connection, and not heard of. */
  unanswered(ms: number): string[] {
    const since = this.#world.now - ms
    const found: string[] = []
    if (this.#connection !== null && !this.#isOn) found.push('CONNECT')
    for (const [id, { kind, at }] of this.#asked) if (at <= since) found.push(`${kind} ${id}`)
    for (const { sent, packetId, released, at } of this.#out.values())
      if (at <= since) found.push(`${released ? 'PUBREL' : 'PUBLISH'} ${packetId} of ${sent.id}`)
    if (this.#pingDue !== null && this.#pingDue <= since) found.push('PINGREQ')
    return found
  }

  // ---- what is asked of it

  connect(node: SimNode, clean: boolean, will: WillAsk | null): void {
    this.#node = node
    this.#cleanNext ||= clean
    this.#will = will
    this.isWanted = true
    // Who wants to begin anew leaves first.
    if (clean && this.#isOn) this.#goodBye(false)
    if (this.#connection === null) this.#open()
  }

  /** Connects while it is connected: the new connection takes over. */
  steal(node: SimNode): void {
    if (!this.#isOn) return
    this.#node = node
    this.#abandon()
    this.#open()
  }

  publish(ask: PublishAsk): void {
    this.#when(() => this.#publish(ask))
  }

  subscribe(asks: readonly SubscribeAsk[]): void {
    this.#when(() => this.#subscribe(asks))
  }

  unsubscribe(filters: readonly string[]): void {
    this.#when(() => this.#unsubscribe(filters))
  }

  /** DISCONNECT, and stays away. */
  leave(withWill: boolean): void {
    this.isWanted = false
    if (this.#connection === null || !this.#isOn) return this.drop()
    this.#goodBye(withWill)
  }

  #goodBye(withWill: boolean): void {
    const reasonCode = withWill && this.terms.version === 5 ? 4 : 0
    this.#send({ cmd: 'disconnect', reasonCode } as Packet)
    const connection = this.#connection!
    this.#model.ended(this.#conn!, reasonCode === 4 ? 'leftWithWill' : 'left')
    this.#closed()
    connection.endUp()
  }

  /** Its end breaks; it comes again, unless it is not wanted. */
  drop(): void {
    const connection = this.#connection
    if (connection === null) return
    this.#model.ended(this.#conn!, 'dropped')
    this.#closed()
    connection.reset()
    this.#again()
  }

  /** It is gone without a word; it comes again after a while. */
  vanish(ms: number): void {
    const connection = this.#connection
    if (connection === null) return
    this.#model.ended(this.#conn!, 'vanished')
    this.#closed()
    connection.vanish()
    this.#world.after(ms, null, `back ${this.terms.id}`, () => this.#again())
  }

  /** The network breaks its connection. */
  break(): void {
    this.#connection?.break()
  }

  stall(ms: number, way: 'up' | 'down' | 'both'): void {
    this.#connection?.stall(ms, way)
  }

  /** Acknowledges nothing for so long. */
  hold(ms: number): void {
    this.#heldUntil = this.#world.now + ms
    this.#world.after(ms, null, `acks ${this.terms.id}`, () => this.#flushAcks())
  }

  /** Reads nothing for so long. */
  pause(ms: number): void {
    this.#pausedUntil = this.#world.now + ms
    this.#connection?.pauseDown()
    this.#world.after(ms, null, `reads ${this.terms.id}`, () => {
      if (this.#world.now >= this.#pausedUntil) this.#connection?.resumeDown()
    })
  }

  /** Says what no client may say. */
  misbehave(kind: number): void {
    if (this.#connection === null || !this.#isOn) return
    const wrong = [
      Buffer.from([0x00, 0x00]),
      Buffer.from([0x36, 0x04, 0x00, 0x01, 0x61, 0x00]),
      Buffer.from([0x82, 0x02, 0x00, 0x00]),
      Buffer.from([0x30, 0x05, 0x00, 0x03, 0x61, 0x2f, 0x2b]),
      Buffer.from([0x62, 0xff, 0xff, 0xff, 0xff]),
      this.#generate({
        cmd: 'connect',
        clientId: this.terms.id,
        protocolId: 'MQTT',
        protocolVersion: this.terms.version,
        clean: true,
      } as Packet),
    ]
    this.#world.note(`${this.terms.id} misbehaves`)
    this.#connection.sendUp(wrong[kind % wrong.length]!)
  }

  // ---- its connection

  #when(act: () => void): void {
    if (this.#isOn) act()
    else if (this.#todo.length < todoMax) this.#todo.push(act)
  }

  #again(): void {
    if (!this.isWanted || this.#connection !== null) return
    this.#world.after(this.#retryMs * (0.5 + this.#chance.next()), null, `again ${this.terms.id}`, () => {
      if (this.isWanted && this.#connection === null) this.#open()
    })
    this.#retryMs = Math.min(2000, this.#retryMs * 2)
  }

  #open(): void {
    const { terms } = this
    const parser = mqtt.parser({ protocolVersion: terms.version })
    let mine: SimConnection | null = null
    let conn: Conn | null = null
    let isClosed = false
    const connection = this.#node.connect(
      {
        onData: bytes => {
          try {
            parser.parse(bytes)
          } catch (error) {
            this.#model.wrong(`${terms.id} cannot read what it is sent: ${(error as Error).message}`)
          }
        },
        onClose: () => {
          isClosed = true
          if (this.#connection !== mine) return
          this.#model.ended(conn!, 'closed')
          this.#closed()
          this.#again()
        },
      },
      terms.id,
    )
    if (connection === null) return this.#again()
    mine = connection
    this.#connection = connection
    this.#isOldClosed = () => isClosed
    parser.on('error', error => this.#model.wrong(`${terms.id} cannot read what it is sent: ${(error as Error).message}`))
    parser.on('packet', packet => {
      if (this.#connection === mine) this.#heard(packet)
      else if (packet.cmd === 'publish') this.#model.stale(conn!, packet.payload.toString('latin1'))
    })
    const clean = this.#cleanNext || !terms.durable
    this.#cleanNext = false
    const will: WillModel | null =
      this.#will === null ? null : this.#model.newWill(terms.version === 5 ? this.#will : { ...this.#will, delayS: 0 })
    conn = this.#model.connecting({
      client: terms.id,
      node: this.#node.name,
      clean,
      durable: terms.durable && (terms.version === 5 || !clean),
      expiryMs: terms.expiryMs,
      keepAliveMs: terms.keepAlive * 1000,
      will,
    })
    this.#conn = conn
    const properties: Record<string, unknown> = {}
    if (terms.version === 5) {
      if (terms.durable) properties.sessionExpiryInterval = terms.expiryMs === Number.POSITIVE_INFINITY ? 0xffffffff : terms.expiryMs / 1000
      if (terms.receiveMaximum > 0) properties.receiveMaximum = terms.receiveMaximum
    }
    // Before MQTT 5 a clean session is one that ends with its connection: who asks for a new one that stays connects twice.
    const packet = {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: terms.version,
      clientId: terms.id,
      clean,
      keepalive: terms.keepAlive,
      username: terms.id,
      ...(terms.version === 5 ? { properties } : {}),
      ...(will === null
        ? {}
        : {
            will: {
              topic: this.#will!.topic,
              payload: Buffer.from(will.id, 'latin1'),
              qos: this.#will!.qos,
              retain: this.#will!.retain,
              ...(terms.version === 5 ? { properties: { willDelayInterval: this.#will!.delayS } } : {}),
            },
          }),
    }
    this.#send(packet as unknown as Packet)
    this.#world.after(connackMs, null, `connack ${terms.id}`, () => {
      if (this.#connection === mine && !this.#isOn) this.drop()
    })
  }

  // It does not look at its connection any more, which goes on until the node closes it.
  #abandon(): void {
    const conn = this.#conn!
    const isClosed = this.#isOldClosed
    this.#model.ended(conn, 'stolen')
    this.#closed()
    this.#world.after(stolenMs, null, `stolen ${this.terms.id}`, () => {
      if (!isClosed()) this.#model.stillOpen(conn)
    })
  }

  #closed(): void {
    this.#connection = null
    this.#conn = null
    this.#isOn = false
    this.#asked.clear()
    this.#unacked.clear()
    this.#acks = []
    this.#pingDue = null
  }

  #send(packet: Packet): void {
    this.#connection?.sendUp(this.#generate(packet))
    this.#pingAt = this.#world.now
  }

  #generate(packet: Packet): Buffer {
    return mqtt.generate(packet, { protocolVersion: this.terms.version } as never) as Buffer
  }

  // ---- what it says

  #nextId(): number {
    for (;;) {
      this.#lastId = (this.#lastId % 65_535) + 1
      if (!this.#out.has(this.#lastId) && !this.#asked.has(this.#lastId)) return this.#lastId
    }
  }

  #publish(wanted: PublishAsk): void {
    // Before MQTT 5 nothing expires.
    const { expiryS, ...plain } = wanted
    const ask: PublishAsk = this.terms.version === 5 ? wanted : plain
    const { qos, topic } = ask
    if (qos > 0 && this.#out.size >= Math.min(this.#window, 1000)) {
      if (this.#todo.length < todoMax) this.#todo.push(() => this.#publish(ask))
      return
    }
    const sent = this.#model.publishing({
      conn: this.#conn!,
      topic,
      qos,
      retain: ask.retain === true,
      empty: ask.empty === true,
      expiryS: (this.terms.version === 5 ? expiryS : undefined) ?? null,
    })
    const packetId = qos === 0 ? 0 : this.#nextId()
    if (qos > 0) this.#out.set(packetId, { packetId, sent, ask, released: false, at: this.#world.now })
    this.#sendPublish(packetId, sent, ask, false)
  }

  #sendPublish(
    packetId: number,
    sent: Sent,
    { topic, qos, retain = false, expiryS, size = 0, empty = false }: PublishAsk,
    dup: boolean,
  ): void {
    const payload = empty ? Buffer.alloc(0) : Buffer.from(`${sent.id}|`.padEnd(size, '.'), 'latin1')
    const properties = { ...(expiryS === undefined ? {} : { messageExpiryInterval: expiryS }) }
    this.#send({
      cmd: 'publish',
      topic,
      qos,
      retain,
      dup,
      messageId: packetId,
      payload,
      ...(this.terms.version === 5 ? { properties } : {}),
    } as Packet)
  }

  #subscribe(asks: readonly SubscribeAsk[]): void {
    const packetId = this.#nextId()
    const v5 = this.terms.version === 5
    const subs = asks.map(ask => this.#model.subscribing(this.#life!, v5 ? ask : { filter: ask.filter, qos: ask.qos }))
    this.#asked.set(packetId, { kind: 'subscribe', at: this.#world.now, subs })
    this.#send({
      cmd: 'subscribe',
      messageId: packetId,
      subscriptions: asks.map(({ filter, qos, rap = false, noLocal = false, retainHandling = 0 }) =>
        v5 ? { topic: filter, qos, rap, nl: noLocal && !filter.startsWith('$share/'), rh: retainHandling } : { topic: filter, qos },
      ),
    } as Packet)
  }

  #unsubscribe(filters: readonly string[]): void {
    const packetId = this.#nextId()
    const subs = this.#model.unsubscribing(this.#life!, filters)
    this.#asked.set(packetId, { kind: 'unsubscribe', at: this.#world.now, subs })
    this.#send({ cmd: 'unsubscribe', messageId: packetId, unsubscriptions: [...filters] } as Packet)
  }

  // ---- what it hears

  #heard(packet: Packet): void {
    if (packet.cmd === 'connack') return this.#connack(packet as never)
    if (!this.#isOn) {
      if (packet.cmd !== 'disconnect' && packet.cmd !== ('auth' as string))
        this.#model.wrong(`${this.terms.id} hears ${packet.cmd} before its CONNACK`)
      return
    }
    const { id } = this.terms
    const packetId = packet.messageId ?? 0
    const code = ((packet as { reasonCode?: number }).reasonCode ?? 0) as number
    switch (packet.cmd) {
      case 'publish':
        return this.#received(packet as never)
      case 'puback': {
        const out = this.#out.get(packetId)
        if (out === undefined || out.ask.qos !== 1) return this.#model.wrong(`${id} hears PUBACK ${packetId}, which it does not wait for`)
        this.#out.delete(packetId)
        this.#model.answered(out.sent, code)
        return this.#goOn()
      }
      case 'pubrec': {
        const out = this.#out.get(packetId)
        if (out === undefined || out.ask.qos !== 2) return this.#model.wrong(`${id} hears PUBREC ${packetId}, which it does not wait for`)
        this.#model.answered(out.sent, code)
        if (code >= 0x80) {
          this.#out.delete(packetId)
          return this.#goOn()
        }
        out.released = true
        out.at = this.#world.now
        return this.#send({ cmd: 'pubrel', messageId: packetId } as Packet)
      }
      case 'pubcomp': {
        const out = this.#out.get(packetId)
        if (out === undefined || !out.released) return this.#model.wrong(`${id} hears PUBCOMP ${packetId}, which it does not wait for`)
        this.#out.delete(packetId)
        return this.#goOn()
      }
      case 'pubrel': {
        this.#in2.delete(packetId)
        return this.#ack(packetId, () => {
          this.#unacked.delete(packetId)
          this.#send({ cmd: 'pubcomp', messageId: packetId } as Packet)
        })
      }
      case 'suback':
      case 'unsuback': {
        const asked = this.#asked.get(packetId)
        const kind = packet.cmd === 'suback' ? 'subscribe' : 'unsubscribe'
        if (asked?.kind !== kind) return this.#model.wrong(`${id} hears ${packet.cmd} ${packetId}, which it does not wait for`)
        this.#asked.delete(packetId)
        const granted = ((packet as { granted?: (number | { qos?: number; reasonCode?: number })[] }).granted ?? []).map(one =>
          typeof one === 'number' ? one : (one.qos ?? one.reasonCode ?? 0),
        )
        if (kind === 'subscribe') this.#model.subscribed(asked.subs, granted)
        else this.#model.unsubscribed(asked.subs)
        return
      }
      case 'pingresp':
        this.#pingDue = null
        return
      case 'disconnect':
        this.#world.note(`${id} is sent away: ${code}`)
        return
    }
  }

  #connack(packet: { sessionPresent: boolean; reasonCode?: number; returnCode?: number; properties?: { receiveMaximum?: number } }): void {
    const code = packet.reasonCode ?? packet.returnCode ?? 0
    if (this.#isOn) return this.#model.wrong(`${this.terms.id} hears a second CONNACK`)
    if (code !== 0) {
      this.#world.note(`${this.terms.id} is refused: ${code}`)
      return
    }
    this.#isOn = true
    this.#retryMs = 50
    // Before MQTT 5 a client cannot be told, and knows what the operator allows.
    this.#window = packet.properties?.receiveMaximum ?? (this.terms.version === 5 ? 65_535 : this.#allowed)
    this.#life = this.#model.connected(this.#conn!, packet.sessionPresent)
    if (packet.sessionPresent) {
      for (const out of this.#out.values()) {
        const { packetId, sent, ask, released } = out
        out.at = this.#world.now
        if (released) this.#send({ cmd: 'pubrel', messageId: packetId } as Packet)
        else {
          this.#model.again(sent)
          this.#sendPublish(packetId, sent, ask, true)
        }
      }
    } else {
      this.#out.clear()
      this.#in2.clear()
    }
    if (this.#pausedUntil > this.#world.now) this.#connection!.pauseDown()
    this.#ping()
    this.#goOn()
  }

  #goOn(): void {
    const todo = this.#todo
    this.#todo = []
    for (const act of todo) this.#when(act)
  }

  #ping(): void {
    const { keepAlive } = this.terms
    const connection = this.#connection
    if (keepAlive === 0) return
    this.#world.after(keepAlive * 400, null, `ping ${this.terms.id}`, () => {
      if (this.#connection !== connection || !this.#isOn) return
      // A client that hears nothing for too long gives up.
      if (this.#pingDue !== null && this.#world.now - this.#pingDue > keepAlive * 2000) return this.drop()
      if (this.#world.now - this.#pingAt >= keepAlive * 390) {
        this.#pingDue ??= this.#world.now
        this.#send({ cmd: 'pingreq' } as Packet)
      }
      this.#ping()
    })
  }

  #received(packet: {
    topic: string
    payload: Buffer
    qos: 0 | 1 | 2
    retain: boolean
    dup: boolean
    messageId: number
    properties?: { messageExpiryInterval?: number }
  }): void {
    const { qos, messageId: packetId, dup } = packet
    const { id, receiveMaximum, version } = this.terms
    if (qos > 0) {
      if (this.#unacked.has(packetId) && !dup)
        this.#model.wrong(`${id} is sent packet identifier ${packetId} again before it has acknowledged it`)
      this.#unacked.set(packetId, this.#world.now)
      if (version === 5 && receiveMaximum > 0 && this.#unacked.size > receiveMaximum)
        this.#model.wrong(`${id} has ${this.#unacked.size} unacknowledged messages, its Receive Maximum is ${receiveMaximum}`)
    }
    const isRepeat = qos === 2 && this.#in2.has(packetId)
    if (!isRepeat) this.#model.received(this.#conn!, this.#life!, packet)
    if (qos === 1) {
      this.#ack(packetId, () => {
        this.#unacked.delete(packetId)
        this.#send({ cmd: 'puback', messageId: packetId } as Packet)
      })
    } else if (qos === 2) {
      this.#in2.add(packetId)
      this.#ack(packetId, () => this.#send({ cmd: 'pubrec', messageId: packetId } as Packet))
    }
  }

  #ack(packetId: number, act: () => void): void {
    const connection = this.#connection
    this.#acks.push(() => {
      if (this.#connection === connection) act()
    })
    void packetId
    if (this.#world.now >= this.#heldUntil) this.#flushAcks()
  }

  #flushAcks(): void {
    if (this.#world.now < this.#heldUntil) return
    const acks = this.#acks
    this.#acks = []
    for (const act of acks) act()
  }
}
