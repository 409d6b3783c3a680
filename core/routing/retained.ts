import type { Message } from '../messages/message.ts'

/** A page of retained messages, and how to get the next. */
export interface RetainedPage {
  readonly messages: readonly Message[]
  readonly done: boolean
}

/** Walks the retained messages that match one filter, a page at a time, so that 50,000 of them block nobody. */
export interface RetainedCursor {
  next(limit: number): RetainedPage | Promise<RetainedPage>
}

/** The `retained` service: the last message with the retain flag, for each topic [MQTT-3.3.1-5]. */
export interface RetainedStore {
  /** Keeps `message`, or removes the topic's when its payload is empty [MQTT-3.3.1-6]. */
  set(message: Message): void | Promise<void>
  match(filter: string): RetainedCursor
  readonly size: number
}

declare module '../service-map.js' {
  interface ServiceMap {
    /** Retained messages; the same owners. */
    retained: RetainedStore
  }
}
