import { MqttError } from '../../core/errors.ts'
import type { ProtocolVersion } from '../../core/protocol/constants.ts'
import type { PacketSink } from '../../core/protocol/decoder.ts'
import { TopicCache } from '../../core/protocol/topic-cache.ts'
import type { Receiver } from '../../presets/testing/packet-codec.ts'
import { PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { normal } from './oracle.ts'

/** Feeds a stream to a decoder in any pieces and with any pauses, and holds the decoder to what it promises at every step. */

export interface Connection {
  readonly receiver: Receiver
  readonly version: ProtocolVersion
  readonly maximumPacketSize: number
}

export interface Feeding {
  /** Where the stream is cut into chunks. */
  readonly cuts: readonly number[]
  /** What the sink does in one packet after the other, over and over. */
  readonly inPacket: readonly ('nothing' | 'pause' | 'pause and resume')[]
  /** What happens between one chunk and the next. */
  readonly betweenChunks: readonly ('nothing' | 'pause' | 'resume')[]
  /** The sink takes PUBLISH as it lies in the bytes. */
  readonly asPublish: boolean
  /** Topic names come out of a cache. */
  readonly cached: boolean
}

export interface Outcome {
  readonly packets: readonly string[]
  /** What broke the protocol; `undefined` for nothing. */
  readonly error: string | undefined
}

export const whole: Feeding = { cuts: [], inPacket: [], betweenChunks: [], asPublish: true, cached: false }

/** One for all, as in a broker: what one stream puts in must not harm another. */
const topics = new TopicCache()

export function read(stream: Buffer, connection: Connection, feeding: Feeding): Outcome {
  const { receiver, version, maximumPacketSize } = connection
  const { inPacket, betweenChunks } = feeding
  const ends = packetEnds(stream)
  const packets: string[] = []
  let fed = 0
  let paused = false
  // What has come since it was paused is kept, however much it is: the transport that was told to stop bounds it.
  let fedWhilePaused = 0

  const handed = (packet: unknown): void => {
    packets.push(JSON.stringify(normal(packet)))
    const action = inPacket.length === 0 ? 'nothing' : inPacket[packets.length % inPacket.length]!
    if (action !== 'nothing') decoder.pause()
    if (action === 'pause') paused = true
    if (action === 'pause and resume') decoder.resume()
  }
  const sink: PacketSink = { onPacket: handed }
  if (feeding.asPublish) sink.onPublish = publish => handed(publish.packet())
  const decoder = new PacketDecoder(sink, { maximumPacketSize, receiver, ...(feeding.cached ? { topics } : {}) })
  if (receiver === 'client') decoder.version = version

  const check = (): void => {
    const { pendingBytes, pendingCapacity } = decoder
    const consumed = packets.length === 0 ? 0 : ends[packets.length - 1]
    hold(consumed !== undefined, `${packets.length} packets came out of ${ends.length}`)
    hold(pendingBytes === fed - consumed!, `${fed} bytes went in, ${consumed} came out and ${pendingBytes} are kept`)
    hold(pendingBytes < maximumPacketSize + fedWhilePaused, `${pendingBytes} bytes are kept, ${maximumPacketSize} are the limit`)
    hold(pendingCapacity <= Math.max(64, 4 * pendingBytes), `${pendingCapacity} bytes are allocated for ${pendingBytes}`)
  }
  const resume = (): void => {
    paused = false
    decoder.resume()
    if (!paused) fedWhilePaused = 0
    check()
  }

  try {
    let from = 0
    const stops = [...feeding.cuts, stream.length]
    for (let i = 0; i < stops.length; i++) {
      const to = Math.min(stops[i]!, stream.length)
      // What is lent is overwritten after the call, as a shared read buffer is.
      const lent = Buffer.concat([noise, stream.subarray(from, to), noise])
      fed = to
      decoder.feed(lent, noise.length, noise.length + to - from)
      lent.fill(0xee)
      if (paused) fedWhilePaused += to - from
      from = to
      check()
      const action = betweenChunks.length === 0 ? 'nothing' : betweenChunks[i % betweenChunks.length]!
      if (action === 'resume') resume()
      if (action === 'pause') {
        decoder.pause()
        paused = true
      }
    }
    // Each turn hands out at least the packet that pauses it again.
    for (let turns = 0; paused; turns++) {
      hold(turns <= ends.length + 1, 'the decoder does not come to an end')
      resume()
    }
  } catch (thrown) {
    if (!(thrown instanceof MqttError)) throw thrown
    return { packets, error: `${thrown.reasonCode} ${thrown.message}` }
  }
  hold(packets.length === ends.length, `${packets.length} of ${ends.length} packets came out`)
  return { packets, error: undefined }
}

const noise = Buffer.from([0x30, 0xff])

function hold(claim: boolean, otherwise: string): void {
  if (!claim) throw new Error(otherwise)
}

/** Where packets end by their length fields alone. */
function packetEnds(stream: Buffer): number[] {
  const ends: number[] = []
  let at = 0
  for (;;) {
    let length = 0
    let place = at + 1
    for (let weight = 1; ; weight *= 128, place++) {
      if (place >= stream.length || weight > 128 ** 3) return ends
      length += (stream[place]! & 0x7f) * weight
      if (stream[place]! < 0x80) break
    }
    at = place + 1 + length
    if (at > stream.length) return ends
    ends.push(at)
  }
}
