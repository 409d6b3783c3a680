import type { Message } from '../messages/message.ts'
import type { QoS } from '../protocol/constants.ts'
import type { Inflight } from './window.ts'

/** Puts what is sent into a slot of the window, and returns the slot. */
export function fillSlot(
  slot: Inflight,
  message: Message,
  qos: QoS,
  retain: boolean,
  identifiers: readonly number[] | null,
  group: string | null,
): Inflight {
  slot.message = message.own()
  slot.qos = qos
  slot.retain = retain
  slot.identifiers = identifiers
  slot.group = group
  return slot
}
