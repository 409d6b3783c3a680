import { ParkedOnDisk } from '../kit/parked-rows.ts'
import type { BridgingParts } from './bridging-parts.ts'
import { type OutParcel, outParcelCodec } from './out-parcel.ts'
import type { ConnectionOptions } from './rules.ts'

const cureOfParked = 'see to what they were refused for, then set parked to resend, or to drop'

/** What the other broker refused though its publisher had the acknowledgement, on disk, and done with as the options say; null: there is no queue on disk. */
export function openParked(
  { queues, broker, report }: BridgingParts,
  { name, parked: how, parkedBytes }: ConnectionOptions,
  takeBack: (mode: string, row: Buffer) => boolean,
): ParkedOnDisk<OutParcel> | null {
  if (queues === undefined) return null
  const queue = queues.open(`mqttParked ${name}`, parkedBytes)
  const parked = new ParkedOnDisk(queue, broker.clock, outParcelCodec, takeBack)
  if (parked.length === 0) return parked
  const what = `mqttBridge ${name}: ${parked.length} messages that the other broker refused`
  if (how === 'keep') {
    broker.log.warn({ bridge: name }, `${what} are parked; ${cureOfParked}`)
    return parked
  }
  const done = how === 'resend' ? parked.resend() : parked.drop()
  done.then(count => broker.log.warn({ bridge: name, count }, `${what} ${how === 'resend' ? 'are sent once more' : 'are dropped'}`), report)
  return parked
}
