// Why it is long: one connection is one object on the hot path, and its parts that could stand by themselves do.
import { MqttError } from '../errors.ts'
import type { Message } from '../messages/message.ts'
import { isOutboundAck, PacketType, type ProtocolVersion } from '../protocol/constants.ts'
import { Decoder } from '../protocol/decoder.ts'
import type { InboundPublish } from '../protocol/inbound-publish.ts'
import type { ManyFilters } from '../protocol/many-filters.ts'
import type { ConnectPacket, Packet, Properties, PublishPacket } from '../protocol/packets.ts'
import { withoutSecrets } from '../protocol/without-secrets.ts'
import type { Rights } from '../publisher.ts'
import { connackCode, connackReturnCode, disconnectCode, ReasonCode } from '../reason.ts'
import { type Admission, type Refusal, textOf } from '../refusals.ts'
import type { KnownSession } from '../sessions/known-session.ts'
import type { StoredWill } from '../sessions/session-store.ts'
import type { Timer } from '../time/clock.ts'
import type { WheelItem } from '../time/timer-wheel.ts'
import { Acknowledger } from './acknowledger.ts'
import type { AuthExchange } from './auth-exchange.ts'
import type { Client } from './client.ts'
import type { ConnectionHost, PacketHandlers } from './connection-host.ts'
import type { DisconnectReason } from './disconnect-reason.ts'
import { InboundQueue } from './inbound-queue.ts'
import type { Meter } from './meter.ts'
import { Outbox } from './outbox.ts'
import { PausedPublishers } from './paused-publishers.ts'
import { Sender } from './sender.ts'
import type { Transport } from './transport.ts'
import { UsedIdentifiers } from './used-identifiers.ts'

/** Why a connection is not being read just now. */
const PauseReason = { inbound: 1, acks: 2, outbox: 4, subscriber: 8, plugin: 16, admission: 32 } as const
type PauseReason = keyof typeof PauseReason

// After a close the last bytes get this long to leave.
const lingerMs = 2000
// After the process was held up a client has so long to be heard.
const heldUpMs = 1000
// Whoever has much to send to one client sends it in portions of this.
const readyBytes = 262_144

/** One connection: reads its packets, writes its answers, and says in `state` how far it has come. */
export class Connection implements Client {
  readonly host: ConnectionHost
  readonly handlers: PacketHandlers
  readonly transport: Transport
  readonly outbox: Outbox
  readonly inbound: InboundQueue
  readonly acks: Acknowledger
  readonly sender: Sender
  readonly #decoder: Decoder
  #state: 'new' | 'connecting' | 'connected' | 'closed' = 'new'
  #pauses = 0
  #admittedUntil: number | null = null
  #admissionEnds: Timer | null = null
  #pausedPublishers: PausedPublishers | null = null
  #ready: (() => void)[] | null = null
  // Who of the plugins has paused it.
  #pausers: Set<string> | null = null
  // It ends for a fault that it is not told of.
  #untold = false

  /** Empty until CONNECT. */
  clientId = ''
  /** The server made the client id up, and says so to MQTT 5 clients. */
  assignedId = false
  username: string | null = null
  rights: Rights | null = null
  mountPoint = ''
  /** The protocol level: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. */
  version: ProtocolVersion = 4
  bridge = false
  /** Seconds; 0 is never. */
  keepAlive = 0
  /** Its enhanced authentication; null where CONNECT named no method. */
  auth: AuthExchange | null = null
  /** Its session, from CONNACK on, also after the connection has ended. */
  session: KnownSession | null = null
  will: StoredWill | null = null
  /** Milliseconds since the Unix epoch. */
  readonly acceptedAt: number
  /** When the last bytes came, by the broker's coarse clock. */
  lastSeen: number
  onConnectBegan = false
  /** Called when the transport has closed after all. */
  onGone: (() => void) | null = null
  /** Packets go to onPacketReceived and onPacketSent. */
  traced = false
  /** Inbound topic aliases. */
  aliases: (string | undefined)[] | null = null
  /** QoS 1 and 2 messages in flight that the client accepts. */
  inflightMax: number
  /** The packet identifiers of QoS 2 messages that came on this connection; null where its session began with it. */
  usedInbound: UsedIdentifiers | null = null
  /** The same for messages that went out. */
  usedOutbound: UsedIdentifiers | null = null
  /** Counts what it sends, where a plugin wants that. */
  meter: Meter | null = null
  /** What onAccept said of its connection: its CONNECT gets this answer, and nobody is asked about it. */
  refusal: Refusal | null = null
  /** Its place in the timer wheel: the time to CONNECT, then keep-alive. */
  readonly timer: WheelItem

  get kind(): 'client' {
    return 'client'
  }

  constructor(host: ConnectionHost, handlers: PacketHandlers, transport: Transport) {
    const { mqtt } = host.settings
    this.host = host
    this.handlers = handlers
    this.transport = transport
    this.outbox = new Outbox(transport, host.flusher)
    this.inbound = new InboundQueue(this)
    const maximumPacketSize = Math.min(mqtt.connectSizeMax, mqtt.maximumPacketSize)
    const { userPropertiesMax } = mqtt
    this.#decoder = new Decoder(this, { maximumPacketSize, topics: host.topics, userPropertiesMax })
    this.acks = new Acknowledger(this)
    this.sender = new Sender(this)
    this.acceptedAt = host.clock.now()
    this.lastSeen = host.now
    this.inflightMax = mqtt.inflightMax
    this.timer = { next: null, previous: null, dueAt: 0, onTimer: now => this.onTimer(now) }
  }

  get state(): 'new' | 'connecting' | 'connected' | 'closed' {
    return this.#state
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  /** The client's address, for logs. */
  get remoteAddress(): string {
    return this.transport.remoteAddress
  }

  onData(chunk: Buffer, start: number, end: number): void {
    if (this.#state === 'closed') return
    this.lastSeen = this.host.now
    this.host.counters.bytesReceived += end - start
    try {
      this.#decoder.feed(chunk, start, end)
      this.meter?.read(end - start)
      // Nobody has let it in yet, so no more than this is kept for it.
      if (this.#state === 'connecting' && this.#decoder.pendingBytes + this.inbound.bytes > this.host.settings.mqtt.connectSizeMax)
        this.pauseFor('admission')
    } catch (error) {
      this.fail(error)
    }
  }

  onPublish(publish: InboundPublish): void {
    if (this.#state !== 'connected' && !this.#mayCome(publish)) return
    const { counters } = this.host
    counters.packetsReceived += 1
    counters.receivedByQoS[publish.qos] += 1
    if (this.traced) this.host.hooks.onPacketReceived.call(this, publish.clone().packet())
    const { inbound } = this
    if (inbound.judging) {
      const pending = this.handlers.publish.handle(this, publish)
      if (pending !== null) inbound.pend(pending)
      else if (this.host.router.spent) {
        // The decoder keeps what stands behind, so that nothing is lost where the client has left by then.
        this.pauseReading('matching')
        void this.host.turns.next().then(() => this.resumeReading('matching'))
      }
    } else {
      inbound.wait(publish)
    }
  }

  onPacket(packet: Exclude<Packet, PublishPacket>): void {
    if (this.#state !== 'connected' && !this.#mayCome(packet)) return
    this.host.counters.packetsReceived += 1
    if (this.traced) this.host.hooks.onPacketReceived.call(this, withoutSecrets(packet))
    const { inbound } = this
    if (packet.type === PacketType.Auth && this.auth?.waiting === true) {
      this.auth.answer(packet)
    } else if (inbound.idle) {
      const done = this.handlers.packet(this, packet)
      if (done !== undefined) inbound.block(done)
    } else if (isOutboundAck(packet.type) && this.#state === 'connected') {
      // These answer the broker's own messages: no verdict is about them, and they free the window.
      this.handlers.packet(this, packet)
    } else {
      inbound.wait(packet)
    }
  }

  onManyFilters(packet: ManyFilters): void {
    if (this.#state !== 'connected' && !this.#mayCome(packet)) return
    this.host.counters.packetsReceived += 1
    const { inbound } = this
    if (inbound.idle) inbound.block(this.handlers.manyFilters(this, packet))
    else inbound.wait(packet)
  }

  /** Before CONNACK: a client that authenticates step by step must send nothing but AUTH and DISCONNECT [MQTT-3.1.2-30]. */
  #mayCome({ type }: { readonly type: number }): boolean {
    if (this.#state === 'closed') return false
    if (this.#state === 'new' || this.auth === null || type === PacketType.Auth) return true
    if (type === PacketType.Disconnect) {
      this.end({ code: ReasonCode.NormalDisconnection, message: 'disconnected before CONNACK', by: 'client' }, false)
      return false
    }
    throw new MqttError(ReasonCode.ProtocolError, 'a packet other than AUTH and DISCONNECT in the middle of an authentication')
  }

  /** Stops reading until `resumeFor` of the same reason. */
  pauseFor(name: PauseReason): void {
    if (this.#pauses === 0) {
      this.#decoder.pause()
      this.transport.pause()
    }
    this.#pauses |= PauseReason[name]
  }

  /** The reason is gone: reads on where there is no other. */
  resumeFor(name: PauseReason): void {
    if ((this.#pauses & PauseReason[name]) === 0) return
    this.#pauses &= ~PauseReason[name]
    // What it has sent meanwhile is still to be read.
    if (name !== 'outbox') this.lastSeen = this.host.now
    if (this.#pauses !== 0 || this.#state === 'closed') return
    this.transport.resume()
    try {
      this.#decoder.resume()
    } catch (error) {
      this.fail(error)
    }
  }

  /**
   * Reads nothing more of it until `resumeReading` with the same name, the plugin's. What has been read is kept, so nothing
   * is lost and nothing overtakes; keep-alive does not run against it meanwhile.
   */
  pauseReading(name: string): void {
    this.#pausers ??= new Set()
    this.#pausers.add(name)
    this.pauseFor('plugin')
  }

  resumeReading(name: string): void {
    const pausers = this.#pausers
    if (pausers?.delete(name) === true && pausers.size === 0) this.resumeFor('plugin')
  }

  /**
   * A packet of which only the beginning has come: a number that changes with each. 0: there is none, or the broker itself is not
   * reading on. A watch that sees the same number again and again sees a client that drips.
   */
  get unfinishedPacket(): number {
    return this.#pauses === 0 && this.#state !== 'closed' && this.#decoder.pendingBytes > 0 ? this.#decoder.begun : 0
  }

  /** Bytes that are kept for this connection and would be free without it, roughly. */
  get heldBytes(): number {
    const { session } = this
    const queued = session !== null && !session.durable && session.client === this ? (session.queue?.bytes ?? 0) : 0
    return this.outbox.pendingBytes + this.#decoder.pendingCapacity + this.inbound.bytes + queued
  }

  /** What went wrong with this client ends this client only. */
  fail(error: unknown): void {
    if (this.#state === 'closed') return
    if (error instanceof MqttError) {
      const { counters } = this.host
      counters.protocolErrors += 1
      if (error.reasonCode === ReasonCode.PacketTooLarge) counters.limited.packetSize += 1
      else if (error.reasonCode === ReasonCode.QuotaExceeded) counters.limited.userProperties += 1
      else if (error.reasonCode === ReasonCode.ReceiveMaximumExceeded) counters.limited.receiveMaximum += 1
      this.#untold = this.host.settings.mqtt.tellFaults === 'requests' && (this.#state === 'new' || !error.ofRequest)
      if (this.#state === 'new') this.#failedConnect(error)
      this.close(error.reasonCode, error.message)
      return
    }
    this.host.report(error instanceof Error ? error : new Error(String(error)))
    this.close(ReasonCode.UnspecifiedError, 'an error inside the broker; see the log')
  }

  // An unknown protocol level is told so in the form that level would read [MQTT-3.1.2-2]; any other bad CONNECT is just closed,
  // in MQTT 5 with the reason where the client has shown that it speaks it [MQTT-3.1.4-1].
  #failedConnect(error: MqttError): void {
    this.version = this.#decoder.version
    const answers = this.version === 5 && !this.#untold
    if (answers || error.reasonCode === ReasonCode.UnsupportedProtocolVersion) this.#connack(false, error.reasonCode, undefined)
  }

  /** CONNECT has been read: what it says of the client. */
  readConnect(packet: ConnectPacket): void {
    const { settings } = this.host
    this.#state = 'connecting'
    this.host.wheel.cancel(this.timer)
    this.version = packet.version
    this.bridge = packet.bridge
    this.clientId = packet.clientId
    // Whoever authenticates is told the name that counts, and checks a password against that one.
    const { username } = this.transport
    if (username !== undefined) packet.username = username
    const isSecret = packet.username !== undefined && [...this.host.secretUsernames].some(test => test(packet.username!))
    this.username = isSecret ? null : (packet.username ?? null)
    this.keepAlive = packet.keepAlive
    const { properties } = packet
    // In the middle of an authentication nothing but AUTH may come [MQTT-3.1.2-30].
    if (properties?.authenticationMethod === undefined) this.#decoder.maximumPacketSize = settings.mqtt.maximumPacketSize
    if (packet.version === 5) {
      const { serverKeepAlive } = settings.mqtt
      if (serverKeepAlive !== null) this.keepAlive = Math.ceil(serverKeepAlive / 1000)
      this.inflightMax = Math.min(properties?.receiveMaximum ?? 65_535, settings.mqtt.inflightMax)
      const { sender } = this
      sender.maximumPacketSize = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY
      sender.topicAliasMaximum = Math.min(properties?.topicAliasMaximum ?? 0, settings.mqtt.topicAliasOutMax)
      sender.problemInformation = settings.mqtt.reasonStrings && properties?.requestProblemInformation !== 0
    }
    this.traced = this.host.traces(this.clientId)
    if (this.traced) this.host.hooks.onPacketReceived.call(this, withoutSecrets(packet, !isSecret))
  }

  /** What the authentication said. */
  admit({ username, rights, expiresAt }: Admission): void {
    this.#decoder.maximumPacketSize = this.host.settings.mqtt.maximumPacketSize
    if (username !== undefined) this.username = username
    if (rights !== undefined) this.rights = rights
    this.#admittedUntil = expiresAt ?? null
    this.wallSet()
  }

  /** The machine's clock was set: an admission ends by what it says now. */
  wallSet(): void {
    this.#admissionEnds?.cancel()
    this.#admissionEnds = null
    if (this.#admittedUntil === null || this.#state === 'closed') return
    const { clock } = this.host
    this.#admissionEnds = clock.after(this.#admittedUntil - clock.moment().wall, () =>
      this.close(ReasonCode.NotAuthorized, 'the admission has expired'),
    )
  }

  /** Says no to CONNECT and closes [MQTT-3.2.2-7]. */
  refuse(refusal: Refusal): void {
    if (this.#state === 'closed') return
    const { reasonString, serverReference } = refusal
    // What hooks and the log are told is what the client is told.
    const reasonCode = this.version === 5 ? connackCode(refusal.reasonCode) : refusal.reasonCode
    const said = textOf(this.host.settings.mqtt.reasonStrings ? refusal : { ...refusal, reasonString: undefined })
    this.#connack(false, reasonCode, serverReference === undefined ? said : { ...said, serverReference })
    this.end({ code: reasonCode, message: `connection refused: ${reasonString ?? 'no reason given'}`, by: 'server' }, false)
  }

  /** It has its session, and its CONNACK is kept back: nothing may leave before that [MQTT-3.2.0-1]. */
  opened(session: KnownSession): void {
    this.session = session
    this.outbox.hold()
  }

  /** CONNACK: from here on it is a client like any other. */
  connected(session: KnownSession, sessionPresent: boolean, properties: Properties | undefined): void {
    this.session = session
    this.outbox.release()
    this.#state = 'connected'
    if (sessionPresent) {
      this.usedInbound = new UsedIdentifiers()
      this.usedOutbound = new UsedIdentifiers()
    }
    if (!this.#connack(sessionPresent, ReasonCode.Success, properties)) {
      // Nothing else may be sent either [MQTT-3.2.0-1].
      this.#state = 'connecting'
      this.end({ code: ReasonCode.PacketTooLarge, message: 'CONNACK is larger than the client accepts', by: 'server' }, false)
      return
    }
    const { host, transport } = this
    // Kilobytes, which nobody needs any more.
    if (transport.request !== undefined) transport.request = undefined
    host.connected(this, sessionPresent)
    this.watch()
    host.hooks.onConnected.call(this, sessionPresent)
    session.pump()
    this.resumeFor('admission')
  }

  /** The connection went before CONNACK could be sent. */
  neverConnected(): void {
    this.end({ code: ReasonCode.UnspecifiedError, message: 'gone before CONNACK', by: 'network' }, false)
  }

  #connack(sessionPresent: boolean, reasonCode: number, properties: Properties | undefined): boolean {
    const code = this.version === 5 ? connackCode(reasonCode) : connackReturnCode(reasonCode)
    return this.sender.packet({
      type: PacketType.Connack,
      // MQTT 3.1 has no such flag: the byte is reserved.
      sessionPresent: sessionPresent && this.version !== 3,
      reasonCode: code,
      properties: this.version === 5 ? properties : undefined,
    })
  }

  /** Puts keep-alive's limit, one and a half times the interval, into the wheel [MQTT-3.1.2-22]. */
  watch(): void {
    if (this.keepAlive > 0) this.host.wheel.schedule(this.timer, this.lastSeen + this.keepAlive * 1500)
  }

  /** The wheel has come round: late with CONNECT, silent for too long, or just to be looked at again. */
  onTimer(now: number): void {
    if (this.#state === 'new') {
      this.host.counters.limited.heartbeat += 1
      this.close(ReasonCode.KeepAliveTimeout, 'no CONNECT within the heartbeat time')
    } else if (this.#state === 'connected') {
      // What it sends while the broker itself keeps it waiting cannot be seen; where it does not read its answers, that is its own doing.
      if ((this.#pauses & ~PauseReason.outbox) !== 0) this.lastSeen = now
      // What came while the process was held up is still to be read.
      if (this.host.heldUp) this.lastSeen = Math.max(this.lastSeen, now + heldUpMs - this.keepAlive * 1500)
      if (now - this.lastSeen >= this.keepAlive * 1500)
        this.close(ReasonCode.KeepAliveTimeout, 'nothing heard for one and a half keep-alives')
      else this.watch()
    }
  }

  /** The reader does not keep up, and a QoS 0 message is due: true where it is to be dropped. */
  slow(message: Message): boolean {
    const { mqtt } = this.host.settings
    if (this.outbox.pendingBytes + message.payloadLength <= mqtt.writeBufferMax) return false
    if (mqtt.slowReader === 'disconnect') this.overrun()
    else if (mqtt.slowReader === 'slowPublishers') {
      const publisher = this.host.clientOf(message.clientId)
      if (publisher !== undefined && publisher !== this && publisher.state === 'connected') {
        this.#pausedPublishers ??= new PausedPublishers()
        this.#pausedPublishers.pause(publisher)
        return this.outbox.pendingBytes > 4 * mqtt.writeBufferMax
      }
    }
    return true
  }

  /** More waits for it than it should be sent on top of: its window is full or its bytes do not leave. */
  get congested(): boolean {
    return (
      this.outbox.blocked ||
      this.outbox.pendingBytes > readyBytes ||
      (this.session?.queue?.length ?? 0) > 0 ||
      this.session?.backlog?.waiting === true
    )
  }

  get unwrittenBytes(): number {
    return this.outbox.pendingBytes
  }

  get unanswered(): number {
    return this.acks.open
  }

  get inFlight(): number {
    return this.session?.window?.count ?? 0
  }

  get queued(): number {
    return this.session?.backlog?.length ?? this.session?.queue?.length ?? 0
  }

  /** Calls once, when the client can take more; never if it goes first. */
  whenReady(callback: () => void): void {
    this.#ready ??= []
    this.#ready.push(callback)
  }

  /** Something has left: whoever waits for that goes on. */
  callReady(): void {
    const ready = this.#ready
    if (ready === null || this.congested) return
    this.#ready = null
    for (const callback of ready) callback()
  }

  /** Too much waits for it, and the policy is to disconnect. */
  overrun(): void {
    this.close(ReasonCode.QuotaExceeded, 'reads too slowly for what it subscribed to')
  }

  onDrain(): void {
    this.outbox.drained()
    if (this.#state === 'closed' || this.outbox.blocked) return
    this.resumeFor('outbox')
    this.#pausedPublishers?.resume()
    this.session?.pump()
    this.callReady()
  }

  /** Ends the connection from the broker's side; an MQTT 5 client is told why. */
  close(code: ReasonCode, message: string, serverReference?: string): void {
    this.end({ code, message, by: 'server' }, true, serverReference)
  }

  onClose(error: Error | undefined): void {
    this.inbound.gone()
    this.end({ code: ReasonCode.UnspecifiedError, message: error === undefined ? 'connection closed' : error.message, by: 'network' }, true)
    this.outbox.discard()
    this.onGone?.()
    this.host.transportClosed(this)
  }

  /** Its session ends with the connection, and no will is sent. */
  leaveNothing(): void {
    this.will = null
    if (this.session?.client === this) this.session.expiryMs = 0
  }

  /** Gives the last bytes a moment to leave. */
  #linger(): void {
    const timer = this.host.clock.after(lingerMs, () => this.transport.destroy())
    this.onGone = () => timer.cancel()
  }

  /** The one way out. `publishWill`: it did not end well. */
  end(reason: DisconnectReason, publishWill: boolean, serverReference?: string): void {
    if (this.#state === 'closed') return
    const { host } = this
    const wasConnected = this.#state === 'connected'
    if (reason.by === 'server' && wasConnected) {
      reason = { code: disconnectCode(reason.code), message: reason.message, by: reason.by }
      if (this.version === 5 && !this.#untold) this.sender.disconnect(reason.code, reason.message, serverReference)
    }
    this.#state = 'closed'
    host.wheel.cancel(this.timer)
    this.#admissionEnds?.cancel()
    this.#pausedPublishers?.resume()
    this.auth?.abandon()
    host.ended(this, reason, wasConnected, publishWill)
    if (reason.by === 'network') {
      this.outbox.discard()
      this.transport.destroy()
      return
    }
    this.outbox.finish()
    this.transport.end()
    this.#linger()
  }
}
