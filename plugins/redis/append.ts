import { randomBytes } from 'node:crypto'
import type { Message } from '../../core/messages/message.ts'
import { identifierBytes, queuedBytes } from '../../core/sessions/queue-policy.ts'
import {
  type AppendTarget,
  type ReceivedId,
  type SessionKey,
  SessionLostError,
  type SessionStoreEvents,
} from '../../core/sessions/session-store.ts'
import { encodeMessage } from '../kit/stored-message.ts'
import type { BatchWriter } from './batch-writer.ts'
import { type Bodies, lostMessage, unreadable } from './bodies.ts'
import { Operation, type Row } from './operation.ts'
import { append, contents, publication, target as targetOperands } from './operations/append.ts'
import { intend } from './operations/intend.ts'
import { type BodyReference, decodeQueueEntry, encodeQueueEntry } from './queue-entry.ts'
import { bodyField } from './script/layout.ts'
import type { SlotWriter } from './slot-writer.ts'
import type { Writes } from './writes.ts'

// A body no larger than what a reference to it costs is kept in each queue.
const alwaysInlineBytes = 128
const targetBytes = 64
const noBytes = Buffer.alloc(0)

/** What a message's append tells about each session that it went to. */
export interface AppendEvents {
  /** Its position in the queue; 0: it is not there. Only of those that were given a packet identifier, by their newest owner. */
  placed(session: SessionKey, packetId: number, position: number): void
  dropped: SessionStoreEvents['dropped']
  lost: SessionStoreEvents['lost']
}

/** One part of an append: what goes to one writer. */
interface Part {
  readonly received: ReceivedId | null
  readonly targets: readonly AppendTarget[]
  /** The numbers by which the body knows them. */
  readonly ordinals: readonly number[]
  readonly token: string
  /** Its body is kept with it in the same batch; empty where it lies elsewhere or in the entries. */
  readonly ownBody: Buffer | null
}

/** Appends messages to queues: one operation where all lies in one slot, else several in an order that loses and doubles nothing. */
export class Appender {
  readonly #writes: Writes
  readonly #bodies: Bodies
  readonly #events: AppendEvents
  // QoS 2 messages whose parts are under way, by publisher and identifier.
  readonly #publishing = new Map<string, Promise<void>>()

  constructor(writes: Writes, bodies: Bodies, events: AppendEvents) {
    this.#writes = writes
    this.#bodies = bodies
    this.#events = events
  }

  append(message: Message, targets: readonly AppendTarget[], publishedBy: ReceivedId | null): Promise<void> {
    message.own()
    // Read now: the session's owner may raise the epoch before this is packed.
    const received = publishedBy === null ? null : copyOf(publishedBy)
    return new Promise((resolve, reject) => {
      const { writers } = this.#writes
      const size = queuedBytes(message)
      const bytes = size + targets.length * targetBytes
      const full = writers.admit(bytes)
      if (full !== null) {
        reject(full)
        return
      }
      const apart = targets.length > 1 && size > alwaysInlineBytes
      const writer = this.#oneWriter(targets, received, apart)
      if (writer === null || (received !== null && this.publishing(received) !== undefined)) {
        // The parts count for themselves.
        writers.settled(1, bytes)
        const done = this.#spread(message, targets, received, apart)
        done.then(resolve, reject)
        if (received !== null) this.follows(received, done)
        return
      }
      const body = apart ? this.#bodies.newReference() : null
      const part: Part = {
        received,
        targets,
        ordinals: ordinalsOf(targets),
        token: '',
        ownBody: apart ? this.#encoded(message) : null,
      }
      const operation = new Operation(
        bytes,
        out => this.#pack(out, message, size, part, body),
        rows => this.#done(message, part, rows, resolve, reject),
        reject,
      )
      operation.refusable = true
      operation.about = writers.keys.queue(targets[0]?.clientId ?? received?.session.clientId ?? '')
      if (writers.link.isCluster) operation.queues = targets.map(({ clientId }) => clientId)
      writer.push(operation)
    })
  }

  /** What is under way under a QoS 2 identifier, which whatever comes after under the same waits for; undefined: nothing is. */
  publishing(received: ReceivedId): Promise<void> | undefined {
    return this.#publishing.size === 0 ? undefined : this.#publishing.get(nameOf(received))
  }

  /** Whatever comes after under the same identifier waits for this. */
  follows(received: ReceivedId, done: Promise<void>): void {
    const name = nameOf(received)
    const settled = done
      .catch(() => {})
      .then(() => {
        if (this.#publishing.get(name) === settled) this.#publishing.delete(name)
      })
    this.#publishing.set(name, settled)
  }

  /** The writer that all of an append goes through; null where it takes several. */
  #oneWriter(targets: readonly AppendTarget[], received: ReceivedId | null, apart: boolean): SlotWriter | null {
    const { writers } = this.#writes
    if (!writers.link.isCluster) return writers.of('')
    if (apart) return null
    let writer = received === null ? null : writers.of(writers.keys.session(received.session.clientId))
    for (const { clientId } of targets) {
      const own = writers.of(writers.keys.session(clientId))
      if (writer !== null && own !== writer) return null
      writer = own
    }
    return writer
  }

  #pack(out: BatchWriter, message: Message, size: number, part: Part, reference: string | null): void {
    const { received, targets, ordinals, token, ownBody } = part
    append.write(out, { publisher: received?.session.clientId ?? null })
    if (received !== null) publication.write(out, { epoch: received.session.epoch, packetId: received.packetId })
    const body = ownBody === null ? null : this.#writes.writers.keys.body(reference!)
    contents.write(out, { body, bytes: ownBody ?? noBytes, token, targets: targets.length })
    if (targets.length === 0) return
    const inline = reference === null ? this.#encoded(message) : null
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      const tail = encodeQueueEntry(
        target,
        size + identifierBytes(target.identifiers),
        inline ?? ({ id: reference!, ordinal: ordinals[i]! } satisfies BodyReference),
      )
      targetOperands.write(out, { session: target.clientId, giver: target.epoch, tail })
    }
  }

  #done(
    message: Message,
    part: Part,
    rows: readonly Row[] | null,
    resolve: () => void,
    reject: (error: Error) => void,
    missing?: (ordinal: number) => void,
  ): void {
    let stale: Set<number> | null = null
    for (const { kind, values } of rows ?? []) {
      if (kind === 'stale') {
        const number = (values[0] as number) - 1
        stale ??= new Set()
        stale.add(number)
        const { clientId, epoch } = part.targets[number]!
        this.#events.lost({ clientId, epoch })
      }
      if (kind === 'lost') {
        reject(new SessionLostError(part.received!.session.clientId))
        return
      }
      if (kind === 'dropped') this.#dropOldest(part.targets[(values[0] as number) - 1]!.clientId, values[1] as Buffer)
      if (kind !== 'appended') continue
      const answers = values[0] as number[]
      for (const [i, position] of answers.entries()) {
        const target = part.targets[i]!
        if (target.packetId !== 0 && stale?.has(i) !== true) this.#events.placed(target, target.packetId, Math.max(0, position))
        if (position >= 0) continue
        this.#events.dropped(target.clientId, message, position === -1 ? 'sessionEnded' : 'queueFull')
        missing?.(part.ordinals[i]!)
      }
    }
    resolve()
  }

  #dropOldest(clientId: string, member: Buffer): void {
    const entry = decodeQueueEntry(member)
    this.#bodies
      .messagesOf([entry])
      .then(([message]) => {
        this.#events.dropped(clientId, message == null || message === unreadable ? lostMessage(0) : message, 'queueFull')
        return Buffer.isBuffer(entry.body) ? undefined : this.#bodies.unrefer(entry.body)
      })
      .catch(() => {})
  }

  /**
   * On Redis Cluster the publisher, the body and each queue may lie in different slots, which no script spans. So: the publisher's
   * intention (epoch checked, a token noted under its packet identifier), then the body, then the references, each under the
   * token, then the publisher's identifier. Whatever breaks off in the middle, the client sends the message again, gets the
   * same token, and the queues that have it already take it no second time.
   */
  async #spread(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null, apart: boolean): Promise<void> {
    const { writers } = this.#writes
    const size = queuedBytes(message)
    const ordinals = ordinalsOf(targets)
    const reference = apart ? this.#bodies.newReference() : null
    // The places in the queues are taken at once, so that what is appended afterwards stays behind.
    const operations: Operation[] = []
    let token = ''
    const settled: Promise<void>[] = []
    for (const [writer, numbers] of groupByWriter(targets, clientId => writers.of(writers.keys.session(clientId)))) {
      const own = numbers.map(number => targets[number]!)
      const missing = (ordinal: number): void => {
        if (reference !== null) void this.#bodies.unrefer({ id: reference, ordinal }).catch(() => {})
      }
      settled.push(
        new Promise((resolve, reject) => {
          const part = (): Part => ({
            received: null,
            targets: own,
            ordinals: numbers.map(number => ordinals[number]!),
            token,
            ownBody: null,
          })
          const operation = new Operation(
            size + own.length * targetBytes,
            out => this.#pack(out, message, size, part(), reference),
            rows => this.#done(message, part(), rows, resolve, reject, missing),
            reject,
          )
          operation.waits = true
          operation.about = writers.keys.queue(own[0]!.clientId)
          operation.refusable = true
          operation.queues = own.map(({ clientId }) => clientId)
          operations.push(operation)
          writers.took(operation.bytes)
          writer.push(operation)
        }),
      )
    }
    const all = Promise.all(settled)
    all.catch(() => {})
    try {
      if (received !== null) await this.#publishing.get(nameOf(received))
      if (received !== null && targets.length > 0) token = await this.#intend(received)
      if (reference !== null) await this.#keepBody(reference, message, targets)
    } catch (error) {
      for (const operation of operations) operation.cancelled = true
      throw error
    } finally {
      for (const operation of operations) operation.waits = false
      for (const { clientId } of targets) writers.of(writers.keys.session(clientId)).unblocked()
    }
    await all
    if (received !== null) await this.#remember(message, received)
    if (token !== '') void this.#forgetToken(targets, token).catch(() => {})
  }

  #intend(received: ReceivedId): Promise<string> {
    return this.#writes.owner(
      received.session,
      intend,
      { packetId: received.packetId, token: randomBytes(12).toString('base64url') },
      rows => String(rows?.[0]?.values[0]),
    )
  }

  #encoded(message: Message): Buffer {
    const { time, messageFormat } = this.#writes.writers
    return encodeMessage(message, 0, false, time.shift, messageFormat)
  }

  async #keepBody(reference: string, message: Message, targets: readonly AppendTarget[]): Promise<void> {
    const { keys } = this.#writes.writers
    const referrers = targets.flatMap(({ clientId }, i) => [String(i + 1), keys.queue(clientId)])
    const body = this.#encoded(message)
    // A script hands at most some thousand arguments to a command.
    for (let from = 0; from < referrers.length; from += 2000) {
      const parts = [...(from === 0 ? [bodyField, body] : []), ...referrers.slice(from, from + 2000)]
      await this.#writes.command('hset', keys.body(reference), parts, { bytes: from === 0 ? body.length : 200 })
    }
  }

  #remember(message: Message, received: ReceivedId): Promise<void> {
    return new Promise((resolve, reject) => {
      const { writers } = this.#writes
      const part: Part = { received, targets: [], ordinals: [], token: '', ownBody: null }
      const operation = new Operation(
        targetBytes,
        out => this.#pack(out, message, 0, part, null),
        rows => this.#done(message, part, rows, resolve, reject),
        reject,
      )
      operation.about = writers.keys.session(received.session.clientId)
      writers.took(operation.bytes)
      writers.of(operation.about).push(operation)
    })
  }

  async #forgetToken(targets: readonly AppendTarget[], token: string): Promise<void> {
    const { keys } = this.#writes.writers
    await Promise.all(targets.map(({ clientId }) => this.#writes.command('hdel', keys.identifiers(clientId), [`k${token}`])))
  }
}

function nameOf({ session, packetId }: ReceivedId): string {
  return `${packetId} ${session.clientId}`
}

function copyOf({ session: { clientId, epoch }, packetId }: ReceivedId): ReceivedId {
  return { session: { clientId, epoch }, packetId }
}

function ordinalsOf(targets: readonly AppendTarget[]): number[] {
  return targets.map((_target, i) => i + 1)
}

function groupByWriter(targets: readonly AppendTarget[], writerOf: (clientId: string) => SlotWriter): Map<SlotWriter, number[]> {
  const groups = new Map<SlotWriter, number[]>()
  for (const [number, { clientId }] of targets.entries()) {
    const writer = writerOf(clientId)
    const group = groups.get(writer)
    if (group === undefined) groups.set(writer, [number])
    else group.push(number)
  }
  return groups
}
