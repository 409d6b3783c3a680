import type { Broker } from '../../core/broker.ts'
import type { Message } from '../../core/messages/message.ts'
import { MessageRefusedError, StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Waiting } from '../kit/backlog.ts'
import { type KeptMessage, whenKept } from '../kit/kept-first.ts'
import type { LaneSender } from '../kit/lane-delivery.ts'
import { type ParkedCodec, ParkedOnDisk } from '../kit/parked-rows.ts'
import { type LaneCodec, SendingLane } from '../kit/sending-lane.ts'
import type { ParkedMessages, RecordsRefusedError } from '../kit/services/bridge-target.ts'
import type { Queues } from '../kit/services/queues.ts'
import { TargetLines } from '../kit/target-lines.ts'
import { fnv1a } from '../kit/text-hash.ts'
import { type EventParcel, eventCodec, type WebhookItem } from './event-parcel.ts'
import { HttpSender } from './http-sender.ts'
import { type AckMode, ackOf, type EndpointOptions, type EventName, eventModeOf } from './rules.ts'

/** What there is to know of an endpoint. */
export interface EndpointFigures {
  readonly sent: number
  readonly waiting: number
  /** Bytes. */
  readonly waitingBytes: number
  readonly repeated: number
  readonly droppedFull: number
  readonly droppedRefused: number
  readonly parked: number
  readonly parkedBytes: number
  /** Milliseconds since the oldest on its way happened; 0 where none is. */
  readonly lagMs: number
}

const waitsFor = { none: 'nothing', local: 'disk', remote: 'system' } as const
const cureOfParked = 'see to what they were refused for, then set parked to resend, or to drop'

/** What an endpoint needs of its surroundings. */
export interface EndpointParts {
  readonly broker: Broker
  /** Queues on disk; undefined: there are none. */
  readonly queues: Queues | undefined
  /** The name of this broker, as events say it. */
  readonly node: string
  /** A path of what a file is called in the config. */
  locate(file: string): string
}

/** One URL, with what waits for it and what became of it. */
export class Endpoint {
  readonly name: string
  readonly ack: AckMode
  readonly #parts: EndpointParts
  readonly #options: EndpointOptions
  readonly #at: string
  readonly #events: ReadonlySet<EventName>
  readonly #eventMode: AckMode
  readonly #codec: LaneCodec<EventParcel, WebhookItem> & ParkedCodec<EventParcel>
  readonly #lines: TargetLines
  // By ack mode and number.
  readonly #lanes: Map<string, SendingLane<EventParcel, WebhookItem>>
  #parked: ParkedOnDisk<EventParcel> | null
  // Of messages on disk whose publishers wait for the server, by the id of the event.
  readonly #answers: Map<string, (error?: Error) => void>

  /** `at`: where it stands in the config. */
  constructor(parts: EndpointParts, options: EndpointOptions, at: string) {
    const { broker, queues, node } = parts
    const { origin, pathname } = new URL(options.url)
    this.name = options.name
    this.ack = ackOf(options, queues !== undefined)
    this.#parts = parts
    this.#options = options
    this.#at = at
    this.#events = new Set(options.events)
    this.#eventMode = eventModeOf(options, queues !== undefined)
    this.#codec = eventCodec(options.body, node)
    this.#lines = new TargetLines(
      // What stands behind `?` may be a secret.
      { plugin: 'webhooks', name: options.name, place: `${origin}${pathname}`, what: ['event', 'events'], at },
      broker.clock,
      broker.log,
    )
    this.#lanes = new Map()
    this.#parked = null
    this.#answers = new Map()
    for (let number = 0; number < options.lanes; number++) {
      if (options.filters.length > 0) this.#lane(this.ack, number)
      if (options.events.length > 0) this.#lane(this.#eventMode, number)
    }
    this.#takeUp()
  }

  /** Whether it is told of such events. */
  wants(event: EventName): boolean {
    return this.#events.has(event)
  }

  /** A message that is being routed. */
  offer(id: string, message: Message, receipt: Waiting | null): void {
    this.#laneOf(this.ack, message.clientId).offer({ id, message, json: null, at: message.receivedAt }, receipt)
  }

  /**
   * A message of QoS 2 that is about to be routed; null: nobody waits for it. Its identifier may outlive this process, so the message has to lie on disk before, also where the acknowledgement
   * waits for the server. Without a queue on disk the server itself has to have it.
   */
  keepFirst(id: string, message: Message): KeptMessage | null {
    if (this.ack === 'none') return null
    const mode = this.#parts.queues === undefined ? 'remote' : 'local'
    const parcel = { id, message, json: null, at: message.receivedAt }
    const kept = whenKept(receipt => this.#laneOf(mode, message.clientId).offer(parcel, receipt))
    if (this.ack === mode) return { kept, acknowledged: kept }
    const answered = new Promise<void>((resolve, reject) => {
      this.#answers.set(id, error => (error === undefined ? resolve() : reject(error)))
    })
    kept.catch(error => this.#settle(id, error as Error))
    return { kept, acknowledged: answered }
  }

  /** Something else that has happened to a client. */
  tell(id: string, clientId: string, json: Buffer, at: number): void {
    this.#laneOf(this.#eventMode, clientId).offer({ id, message: null, json, at }, null)
  }

  /** What was refused though it was acknowledged; null: nothing keeps it. */
  get parked(): ParkedMessages | null {
    return this.#parked
  }

  figures(): EndpointFigures {
    const lanes = [...this.#lanes.values()]
    const sum = (of: (lane: SendingLane<EventParcel, WebhookItem>) => number) => lanes.reduce((total, lane) => total + of(lane), 0)
    const now = this.#parts.broker.clock.now()
    const oldest = lanes.reduce((first, lane) => (lane.oldest > 0 ? Math.min(first, lane.oldest) : first), now)
    return {
      sent: sum(({ sent }) => sent),
      waiting: sum(({ waiting }) => waiting),
      waitingBytes: sum(({ bytes }) => bytes),
      repeated: sum(({ repeated }) => repeated),
      droppedFull: sum(({ full }) => full),
      droppedRefused: sum(({ refused }) => refused),
      parked: this.#parked?.length ?? 0,
      parkedBytes: this.#parked?.bytes ?? 0,
      lagMs: now - oldest,
    }
  }

  async stop(timeoutMs: number): Promise<void> {
    await Promise.all([...this.#lanes.values()].map(lane => lane.stop(timeoutMs)))
    for (const id of [...this.#answers.keys()]) this.#settle(id, new StoreAwayError('the broker stops'))
    this.#lines.stop()
  }

  #laneOf(mode: AckMode, clientId: string): SendingLane<EventParcel, WebhookItem> {
    const { lanes } = this.#options
    return this.#lane(mode, lanes === 1 ? 0 : fnv1a(clientId) % lanes)
  }

  #lane(mode: AckMode, number: number): SendingLane<EventParcel, WebhookItem> {
    const name = `${mode} ${number}`
    const known = this.#lanes.get(name)
    if (known !== undefined) return known
    const { broker, queues, locate } = this.#parts
    const options = this.#options
    // What waits for the answer of the server its publisher has.
    const queue = mode === 'remote' ? null : (queues?.open(`webhook ${this.name} ${name}`, options.queueBytes) ?? null)
    const batchMessages = options.body === 'payload' ? 1 : options.batchMessages
    const lane = new SendingLane<EventParcel, WebhookItem>(
      { ...options, batchMessages, waitsFor: waitsFor[mode], at: this.#at },
      broker.clock,
      this.#codec,
      this.#telling(new HttpSender(options, this.#at, broker.clock, locate)),
      queue,
      {
        full: (parcel, why) => this.#dropped(parcel, 'webhookFull', 'webhookFull', why),
        parks: (parcel, error) => this.#park(name, parcel, error),
        refused: (parcel, error) => this.#dropped(parcel, 'webhookRefused', error.reason, error.message),
        reported: report => this.#lines.reported(name, report),
        failed: error => broker.report(error),
      },
    )
    this.#lanes.set(name, lane)
    return lane
  }

  #telling(sender: HttpSender): LaneSender<WebhookItem> {
    return {
      send: async items => {
        await sender.send(items)
        if (this.#answers.size > 0) for (const { id } of items) this.#settle(id)
      },
      close: () => sender.close(),
    }
  }

  #settle(id: string, error?: Error): void {
    const answer = this.#answers.get(id)
    this.#answers.delete(id)
    answer?.(error)
  }

  #park(lane: string, parcel: EventParcel, error: RecordsRefusedError): boolean {
    this.#settle(parcel.id, new MessageRefusedError(error.message))
    if (this.#options.parked === 'drop' || this.#parked === null) return false
    if (!this.#parked.park(lane, parcel, `${error.reason}: ${error.message}`)) {
      this.#lines.parkedFull()
      return false
    }
    this.#lines.parked(subjectOf(parcel), error)
    return true
  }

  #dropped(parcel: EventParcel, drop: 'webhookFull' | 'webhookRefused', reason: string, why: string): void {
    const { id, message } = parcel
    this.#settle(id, drop === 'webhookFull' ? new StoreFullError(why) : new MessageRefusedError(why))
    // Other events are counted by the lane alone: there is no message to tell `onDrop` of.
    if (message !== null) this.#parts.broker.drop(`webhook:${this.name}`, message, drop)
    this.#lines.dropped(subjectOf(parcel), reason, why)
  }

  /** What an earlier run has left, of a kind of acknowledgement that no rule names any more too. */
  #takeUp(): void {
    const { queues, broker } = this.#parts
    if (queues === undefined) return
    for (const name of queues.names()) {
      const [kind, endpoint, mode, number] = name.split(' ')
      if (kind === 'webhook' && endpoint === this.name) this.#lane(mode as AckMode, Number(number))
    }
    const { parked: how, parkedBytes } = this.#options
    const queue = queues.open(`webhookParked ${this.name}`, parkedBytes)
    const parked = new ParkedOnDisk(queue, broker.clock, this.#codec, (lane, row) => {
      const [mode, number] = lane.split(' ')
      return this.#lane(mode as AckMode, Number(number)).takeBack(row)
    })
    this.#parked = parked
    if (parked.length === 0) return
    const what = `webhooks ${this.name}: ${parked.length} events that the server refused`
    if (how === 'keep') return broker.log.warn({ target: this.name }, `${what} are parked; ${cureOfParked}`)
    const done = how === 'resend' ? parked.resend() : parked.drop()
    done.then(
      count => broker.log.warn({ target: this.name, count }, `${what} ${how === 'resend' ? 'are sent once more' : 'are dropped'}`),
      error => broker.report(error),
    )
  }
}

function subjectOf({ message }: EventParcel): { clientId: string; topic: string | undefined } {
  return { clientId: message?.clientId ?? '', topic: message?.topic }
}
