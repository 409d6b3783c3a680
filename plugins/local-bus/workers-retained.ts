import type { Message } from '../../core/messages/message.ts'
import type { RetainedCursor, RetainedStore } from '../kit/services/retained.ts'
import { UnderWay } from '../kit/under-way.ts'

/** Retained messages that each worker reads by itself, wherever they are kept. */
export abstract class WorkersRetained implements RetainedStore {
  protected readonly own: RetainedStore
  /** Set here, and not kept yet where they are to be. */
  protected readonly unkept = new UnderWay()

  constructor(own: RetainedStore) {
    this.own = own
  }

  get size(): number {
    return this.own.size
  }

  get bytes(): number {
    return this.own.bytes ?? 0
  }

  has(topic: string): boolean {
    return this.own.has!(topic)
  }

  match(filter: string): RetainedCursor {
    return this.own.match(filter)
  }

  abstract set(message: Message): Promise<void>

  settle(): Promise<boolean> | undefined {
    return this.unkept.size === 0 ? undefined : this.unkept.through().then(() => false)
  }
}
