import type { Turns } from '../connection/turns.ts'
import { type LatePublishHost, publishLate } from '../messages/late-publish.ts'
import { Message } from '../messages/message.ts'
import { type PublishFaultHost, publishFault } from '../messages/publish-fault.ts'
import type { Publisher, Rights } from '../publisher.ts'
import type { Clock } from '../time/clock.ts'
import type { StoredWill } from './session-store.ts'

/** What is used of the broker here. */
export interface WillsHost extends LatePublishHost, PublishFaultHost {
  readonly clock: Clock
  readonly router: { readonly spent: boolean }
  readonly turns: Turns
}

/** Sends wills the way of a publish: rights, plugins, routing. There may be no client any more. */
export class Wills {
  readonly #host: WillsHost
  /** Those that not everybody who has to keep them has said to have, by client id: the last one of each. */
  readonly #unkept = new Map<string, Promise<void>>()

  constructor(host: WillsHost) {
    this.#host = host
  }

  publish(clientId: string, { message: will, username, rights, mountPoint = '' }: StoredWill): void {
    // What its session has heard since then counts: rights may have been taken away while the will waited.
    const session = this.#host.sessionOf(clientId)
    if (session?.seen === true && session.username === username) rights = session.rights
    const host = this.#host
    const { topic, payload, qos, retain, properties } = will
    // Its expiry counts from now, not from the CONNECT that brought it.
    const message = new Message({
      topic,
      payload,
      qos,
      retain,
      properties,
      origin: 'will',
      clientId,
      username,
      receivedAt: host.clock.now(),
    })
    const { hooks } = host
    const publisher: Publisher = { clientId, username, rights: rights as Rights | null, mountPoint }
    const fault = publishFault(host, publisher, message)
    if (fault !== undefined) {
      host.drop(clientId, message, 'refused', fault.reasonCode)
      return
    }
    if (hooks.onWill.isUsed() && hooks.onWill.call(publisher, message) === false) {
      host.drop(clientId, message, 'refused')
      return
    }
    const kept = new Promise<void>(resolve => {
      const send = (): void =>
        publishLate(host, publisher, message, error => {
          // Nobody will send it again.
          if (error !== undefined) host.drop(clientId, message, 'storeFailed')
          resolve()
        })
      // Many clients may go at once, and each will be matched by filters by the thousand.
      if (host.router.spent) void host.turns.next().then(send)
      else send()
    })
    this.#unkept.set(clientId, kept)
    void kept.then(() => this.#unkept.get(clientId) === kept && this.#unkept.delete(clientId))
  }

  /** Resolves when the will of a client that was sent last is kept; undefined: it is. */
  kept(clientId: string): Promise<void> | undefined {
    return this.#unkept.get(clientId)
  }
}
