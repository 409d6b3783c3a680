import type { Message } from '../../../core/messages/message.ts'

/** A page of retained messages, and how to get the next. */
export interface RetainedPage {
  /** The messages, at most as many as were asked for; those that have expired are left out. */
  readonly messages: readonly Message[]
  /** True: there is no further page. */
  readonly done: boolean
}

/** Walks the retained messages that match one filter, a page at a time, so that 50,000 of them block nobody. */
export interface RetainedCursor {
  /** The next page, of at most `limit` messages; it may have fewer though more follow. */
  next(limit: number): RetainedPage | Promise<RetainedPage>
}

/** The `retained` service: the last message with the retain flag, for each topic [MQTT-3.3.1-5]. */
export interface RetainedStore {
  /**
   * Keeps `message` as the one of its topic, or removes that where the payload is empty [MQTT-3.3.1-6]. It answers, or rejects, as the verbs of
   * `SessionStore` do. Gates: PUBACK, PUBREC.
   */
  set(message: Message): void | Promise<void>
  /** Begins a walk over the messages whose topics match a topic filter. */
  match(filter: string): RetainedCursor
  /**
   * For a store that several brokers share: resolves when all that this broker has set so far is kept, with `true` where other brokers are told of it and hear that
   * before whatever is announced from then on. It never rejects. `undefined`, or no such method: all is kept, and nothing has been told since the last call.
   */
  settle?(): Promise<boolean> | undefined
  /** How many messages are retained. */
  readonly size: number
  /** Bytes of the retained messages, roughly; left out: they are not counted, and `retain.bytesMax` bounds nothing. */
  readonly bytes?: number
  /** Whether a topic has a retained message; left out: where the store is full (`retain.messagesMax`) no message can take another's place. */
  has?(topic: string): boolean
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** Retained messages; the same owners. */
    retained: RetainedStore
  }
}
