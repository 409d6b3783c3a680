import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import type { SurvivingMessage, SurvivingSession } from '../../core/sessions/session-store.ts'
import { encodeMessage, encodeWill } from '../kit/stored-message.ts'
import type { BatchWriter } from './batch-writer.ts'
import { lostMessage } from './bodies.ts'
import { Operation } from './operation.ts'
import { received, restore, sent } from './operations/restore.ts'
import { subscription } from './operations/subscribe.ts'
import { encodeQueueEntry } from './queue-entry.ts'
import type { SlotWriters } from './slot-writers.ts'
import { encodeSubscription } from './subscriptions.ts'
import { encodeUser } from './user-name.ts'

const noBytes = Buffer.alloc(0)
const smallBytes = 500

/** Writes sessions again to a Redis that has lost them, before everything that waits for it. */
export class Restorer {
  readonly #writers: SlotWriters
  readonly #node: string

  constructor(writers: SlotWriters, node: string) {
    this.#writers = writers
    this.#node = node
  }

  /** `wasPlaced`: whether the queue had the message of a packet identifier; `placed` is told where it has it now. */
  restore(session: SurvivingSession, wasPlaced: (packetId: number) => boolean, placed: (packetId: number, position: number) => void): void {
    const { clientId } = session.key
    const key = this.#writers.keys.session(clientId)
    // What the store has not answered yet is written by that very append, which comes behind this.
    const inFlight = session.inFlight.filter(({ packetId, asked }) => !asked || wasPlaced(packetId))
    const bytes = inFlight.reduce((sum, { message }) => sum + (message === null ? 0 : message.payloadLength), smallBytes)
    const operation = new Operation(
      bytes,
      out => this.#pack(out, session, inFlight),
      rows => {
        const positions = rows?.find(({ kind }) => kind === 'restored')?.values[0] as number[] | undefined
        for (const [i, position] of (positions ?? []).entries()) placed(inFlight[i]!.packetId, position)
      },
      // It has been counted and named.
      () => {},
    )
    operation.about = key
    operation.queues = [clientId]
    this.#writers.took(bytes)
    this.#writers.of(key).pushFirst([operation])
  }

  #pack(
    out: BatchWriter,
    { key, user, expiryMs, will, subscriptions, receivedIds }: SurvivingSession,
    inFlight: readonly SurvivingMessage[],
  ): void {
    restore.write(out, {
      session: key.clientId,
      epoch: key.epoch,
      expiry: Number.isFinite(expiryMs) ? expiryMs : -1,
      owner: this.#node,
      user: encodeUser(user),
      delay: will?.delayMs ?? 0,
      will: will === null ? noBytes : encodeWill(will, this.#writers.messageFormat),
      subscriptions: subscriptions.length,
      receivedIds: receivedIds.length,
      inFlight: inFlight.length,
    })
    for (const one of subscriptions) subscription.write(out, { filter: one.filter, options: encodeSubscription(one) })
    for (const packetId of receivedIds) received.write(out, { packetId })
    for (const { packetId, message, qos, retain, identifiers, group, released } of inFlight) {
      // PUBREC has come: only the identifier is needed.
      const body = message ?? lostMessage(0)
      const target = { clientId: key.clientId, qos, retain, identifiers, group, packetId, epoch: key.epoch }
      const tail = encodeQueueEntry(target, queuedBytes(body, identifiers), encodeMessage(body, 0, false, 0, this.#writers.messageFormat))
      sent.write(out, { released: released ? 1 : 0, packetId, tail })
    }
  }
}
