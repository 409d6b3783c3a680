import type { Client } from '../../core/connection/client.ts'
import type { PluginContext } from '../../core/context.ts'
import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import type { RunningPlugin } from '../../core/plugin.ts'
import type { Publisher } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Refusal } from '../../core/refusals.ts'
import type { Timer } from '../../core/time/clock.ts'
import { addCache } from '../kit/bounded-cache.ts'
import '../kit/services/memory-pressure.ts'
import { checkLimits } from './check-options.ts'
import { ClientRates } from './client-rates.ts'
import { ConnectionLimits } from './connection-limits.ts'
import { Flapping } from './flapping.ts'
import { LimitLog } from './limit-log.ts'
import type { limitsManifest } from './manifest.ts'
import { memoryMax, memoryUse } from './memory-use.ts'
import { MemoryWatch } from './memory-watch.ts'
import { PacketWatch } from './packet-watch.ts'
import { PausedClients } from './paused-clients.ts'
import { rateOf } from './rate.ts'
import { SessionLimits } from './session-limits.ts'
import { TopicRates } from './topic-rates.ts'

type Options = OptionsOf<typeof limitsManifest.options>

const tap = { name: 'limits', stage: Stage.Guard }

/** All limits that are on, and what taps the hooks for them: for each hook once, when a limit first needs it. */
export class Enforcement implements RunningPlugin<Options> {
  readonly #context: PluginContext
  readonly #log: LimitLog
  readonly #paused: PausedClients
  readonly #memory: MemoryWatch | null
  readonly #memoryTimer: { readonly ms: number; look(): void } | null
  readonly #connections: ConnectionLimits
  readonly #rates: ClientRates
  readonly #sessions: SessionLimits
  readonly #flapping: Flapping
  readonly #tapped: Set<string>
  #options: Options
  #topics: TopicRates | null
  #packets: PacketWatch | null
  #keepAliveSeconds: number
  #timers: Timer[]
  #packetTimer: Timer | null
  #started: boolean

  constructor(context: PluginContext, options: Options) {
    checkLimits(options)
    const { broker, clock } = context
    this.#context = context
    this.#options = options
    this.#log = new LimitLog(broker)
    this.#paused = new PausedClients(clock)
    this.#tapped = new Set()
    this.#timers = []
    this.#packetTimer = null
    this.#started = false
    this.#topics = null
    this.#packets = null
    this.#keepAliveSeconds = Number.POSITIVE_INFINITY

    const { memory } = options
    if (memory.max === null) [this.#memory, this.#memoryTimer] = [null, null]
    else {
      const max = typeof memory.max === 'number' ? memory.max : memoryMax()
      const watch = new MemoryWatch(memory, broker, this.#log, () => memoryUse(max, broker.clients.size))
      this.#memory = watch
      context.services.provide('memoryPressure', watch, 'limits')
      this.#memoryTimer = { ms: memory.interval, look: () => watch.look() }
    }
    this.#connections = new ConnectionLimits(options, broker, this.#log, this.#memory)
    const { messages, bytes } = ratesOf(options)
    const metering = { overRate: options.overRate, paused: this.#paused, memory: this.#memory, log: this.#log }
    this.#rates = new ClientRates(broker, messages, bytes, metering)
    this.#sessions = new SessionLimits(options, broker, this.#log)
    this.#flapping = new Flapping(options.flapping, context, this.#log)
    addCache(broker, 'limits.topicRates', () => this.#topics)
    this.#follow(options)
  }

  /** What only the whole broker can tell. */
  verify(): void {
    this.#checkFlapping(this.#options)
  }

  start(): void {
    this.#started = true
    const { clock } = this.#context
    if (this.#memoryTimer !== null) this.#timers.push(clock.every(this.#memoryTimer.ms, this.#memoryTimer.look))
    this.#watchPackets()
  }

  /** The store has started by now. */
  listen(): void {
    const { broker } = this.#context
    this.#sessions.load().catch(error => broker.report(error))
  }

  stop(): void {
    for (const timer of this.#timers.splice(0)) timer.cancel()
    this.#packetTimer?.cancel()
    this.#paused.stop()
  }

  reload(options: Options): void {
    checkLimits(options)
    this.#checkFlapping(options)
    const before = this.#options
    this.#options = options
    const changed = (...names: readonly (keyof Options)[]): boolean => names.some(name => before[name] !== options[name])
    this.#connections.change(options)
    if (changed('messagesPerSecond', 'messageBurst', 'bytesPerSecond', 'byteBurst', 'overRate')) {
      const { messages, bytes } = ratesOf(options)
      this.#rates.change(messages, bytes, options.overRate)
    }
    this.#follow(options)
  }

  #checkFlapping({ flapping: { max, delay, ban } }: Options): void {
    const { broker } = this.#context
    if (max === null) return
    if (delay >= broker.settings.mqtt.verdictTimeout)
      throw new OperatorError('ERR_CONFIG', 'limits.flapping.delay: shorter than mqtt.verdictTimeout, which is the time that a plugin has')
    if (ban !== null && broker.verbs.find('ban') === undefined)
      throw new OperatorError('ERR_CONFIG', 'limits.flapping.ban: plugin ban is off; add ban: true, or leave limits.flapping.ban out')
  }

  /** Makes what the options ask for, and taps what is not tapped yet. */
  #follow(options: Options): void {
    const { hooks, broker } = this.#context
    const { topicRates, packetTimeout, maxKeepAlive, maxConnectionsPerUser, maxClientIdLength } = options
    const connections = this.#connections
    if (connections.used) {
      this.#once('connections', () => {
        hooks.onAccept.tap(tap, transport => connections.accept(transport))
        hooks.onClosed.tap(tap, transport => connections.closed(transport))
      })
    }
    if (this.#memory !== null || maxConnectionsPerUser !== null) {
      this.#once('users', () => {
        hooks.onConnect.tap(tap, client => connections.connect(client))
        hooks.onDisconnect.tap(tap, client => connections.disconnected(client))
      })
    }
    const sessions = this.#sessions
    sessions.change(options)
    if (sessions.used) {
      this.#once('sessions', () => {
        hooks.onConnect.tapPromise(tap, (client, connect) => sessions.connect(client, connect))
        hooks.onConnected.tap(tap, client => sessions.connected(client))
        hooks.onSessionExpired.tap(tap, clientId => sessions.ended(clientId))
      })
    }
    const flapping = this.#flapping
    flapping.change(options.flapping)
    if (options.flapping.max !== null) {
      this.#once('flapping', () => {
        hooks.onConnect.tapPromise(tap, client => flapping.connect(client))
        hooks.onConnected.tap(tap, client => flapping.connected(client))
      })
    }
    this.#keepAliveSeconds = maxKeepAlive === null ? Number.POSITIVE_INFINITY : Math.floor(maxKeepAlive / 1000)
    if (maxKeepAlive !== null) this.#once('keepAlive', () => hooks.onConnect.tap(tap, client => this.#shortenKeepAlive(client)))
    if (maxClientIdLength !== null) this.#once('clientIds', () => hooks.onConnect.tap(tap, client => this.#judgeClientId(client)))
    const rates = this.#rates
    if (rates.used) {
      this.#once('rates', () => {
        hooks.onConnect.tap(tap, client => {
          if (rates.used) rates.connect(client)
        })
        hooks.onDisconnect.tap(tap, client => rates.disconnected(client))
      })
    }
    this.#topics = topicRates.length === 0 ? null : new TopicRates(broker, topicRates, this.#paused, this.#log)
    if (this.#topics !== null)
      this.#once('topics', () => hooks.onPublish.tap(tap, (publisher, message) => this.#topics?.judge(publisher, message)))
    if (options.maxPayload !== null) {
      this.#once('payload', () => {
        hooks.onConnect.tap(tap, (client, { will }) => this.#judgeWill(client, will?.payload.length ?? 0))
        hooks.onPublish.tap(tap, (publisher, message) => this.#judgePayload(publisher, message.payloadLength))
      })
    }
    this.#packets = packetTimeout === null ? null : new PacketWatch(broker, packetTimeout, this.#log)
    this.#watchPackets()
  }

  #once(what: string, tapIt: () => void): void {
    if (this.#tapped.has(what)) return
    this.#tapped.add(what)
    tapIt()
  }

  #watchPackets(): void {
    this.#packetTimer?.cancel()
    const packets = this.#packets
    this.#packetTimer = packets === null || !this.#started ? null : this.#context.clock.every(packets.everyMs, () => packets.look())
  }

  #judgeClientId({ clientId, remoteAddress: address }: Client): Refusal | undefined {
    const max = this.#options.maxClientIdLength ?? Number.POSITIVE_INFINITY
    if (clientId.length <= max) return undefined
    const reasonString = `a client id may have ${max} characters`
    this.#log.hit('clientIdLength', `clients are refused: ${reasonString}`, () => ({ clientId, address }))
    return { reasonCode: ReasonCode.ClientIdentifierNotValid, reasonString }
  }

  /** Before MQTT 5 its client is told 5, as 3 would be an invitation to try again. */
  #judgeWill(client: Client, bytes: number): Refusal | undefined {
    const refusal = this.#judgePayload(client, bytes)
    return refusal && { ...refusal, reasonCode: client.version === 5 ? ReasonCode.PacketTooLarge : ReasonCode.NotAuthorized }
  }

  #judgePayload({ clientId }: Publisher, bytes: number): Refusal | undefined {
    const max = this.#options.maxPayload ?? Number.POSITIVE_INFINITY
    if (bytes <= max) return undefined
    const reasonString = `a payload may have ${max} bytes`
    this.#log.hit('payload', `messages are refused: ${reasonString}`, () => ({ clientId, bytes }))
    return { reasonCode: ReasonCode.QuotaExceeded, reasonString }
  }

  /** MQTT 5 clients are told by CONNACK, because it is not what they asked for [MQTT-3.1.2-21]. */
  #shortenKeepAlive(client: Client): void {
    const seconds = this.#keepAliveSeconds
    if (seconds === Number.POSITIVE_INFINITY || (client.keepAlive > 0 && client.keepAlive <= seconds)) return
    client.keepAlive = seconds
    this.#context.broker.counters.limited.keepAlive += 1
  }
}

function ratesOf({ messagesPerSecond, messageBurst, bytesPerSecond, byteBurst }: Options) {
  return { messages: rateOf(messagesPerSecond, messageBurst), bytes: rateOf(bytesPerSecond, byteBurst) }
}
