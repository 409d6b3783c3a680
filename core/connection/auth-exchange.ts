import { PacketType } from '../protocol/constants.ts'
import type { AuthPacket } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'

/** The enhanced authentication of one client (MQTT 5, 4.12): its method, and whoever waits for its next AUTH packet. */
export class AuthExchange {
  /** The Authentication Method that CONNECT named. */
  readonly method: string
  /** An exchange that AUTH 0x19 began is not over. */
  again = false
  #waiter: ((packet: AuthPacket) => void) | null = null

  constructor(method: string) {
    this.method = method
  }

  /** Somebody waits for the next AUTH packet. */
  get waiting(): boolean {
    return this.#waiter !== null
  }

  /** The next AUTH packet. */
  next(): Promise<AuthPacket> {
    return new Promise(resolve => {
      this.#waiter = resolve
    })
  }

  /** It has come. */
  answer(packet: AuthPacket): void {
    const waiter = this.#waiter
    this.#waiter = null
    waiter?.(packet)
  }

  /** It will not come: the connection has ended. */
  abandon(): void {
    this.answer({ type: PacketType.Auth, reasonCode: ReasonCode.UnspecifiedError, properties: undefined })
  }
}
