import * as packets from '../load/packets.ts'
import type { Wire } from './wire.ts'

/** A connection that counts, acknowledges, and writes what it has to say once a turn. */
export class BenchClient {
  readonly #wire: Wire
  #partial: Buffer = Buffer.alloc(0)
  #out: Buffer[] = []
  #answers: { type: number; resolve: () => void }[] = []
  onDelivered: () => void = () => {}
  onAcked: () => void = () => {}

  constructor(wire: Wire, onClose: (error: Error | undefined) => void) {
    this.#wire = wire
    wire.onBytes = bytes => this.#read(bytes)
    wire.onClose = onClose
  }

  connect(clientId: string): Promise<void> {
    return this.ask(packets.connect(clientId, true), 2)
  }

  /** Sends one packet and waits for an answer of that type. */
  ask(packet: Buffer, answer: number): Promise<void> {
    const answered = new Promise<void>(resolve => this.#answers.push({ type: answer, resolve }))
    this.#wire.write(packet)
    return answered
  }

  /** Leaves at the end of this turn, with everything else of it. */
  send(packet: Buffer): void {
    if (this.#out.push(packet) === 1) setImmediate(() => this.#flush())
  }

  destroy(): void {
    this.#wire.destroy()
  }

  #flush(): void {
    const out = this.#out
    this.#out = []
    this.#wire.write(out.length === 1 ? out[0]! : Buffer.concat(out))
  }

  #read(chunk: Buffer): void {
    const bytes = this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk])
    let at = 0
    while (at < bytes.length) {
      const next = this.#packet(bytes, at)
      if (next === 0) break
      at = next
    }
    this.#partial = bytes.subarray(at)
  }

  // Reads one packet; returns where it ends, 0 where it is not all there.
  #packet(bytes: Buffer, start: number): number {
    let at = start + 1
    let length = 0
    for (let shift = 0; ; shift += 7) {
      if (at >= bytes.length) return 0
      const byte = bytes[at++]!
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    if (at + length > bytes.length) return 0
    const type = bytes[start]! >> 4
    if (type === 3) {
      if ((bytes[start]! & 6) !== 0) {
        const idAt = at + 2 + bytes.readUInt16BE(at)
        this.send(Buffer.from([0x40, 2, bytes[idAt]!, bytes[idAt + 1]!]))
      }
      this.onDelivered()
    } else if (type === 4) this.onAcked()
    else this.#answered(type)
    return at + length
  }

  #answered(type: number): void {
    const index = this.#answers.findIndex(answer => answer.type === type)
    if (index >= 0) this.#answers.splice(index, 1)[0]!.resolve()
  }
}
