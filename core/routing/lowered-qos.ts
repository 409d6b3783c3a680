import type { QoS } from '../protocol/constants.ts'

/** What a plugin made of a QoS: it may lower it, never raise it [MQTT-3.8.4-8], and what is no QoS changes nothing. */
export function loweredQoS(before: QoS, after: unknown): QoS {
  return after === 0 || after === 1 || after === 2 ? (Math.min(before, after) as QoS) : before
}
