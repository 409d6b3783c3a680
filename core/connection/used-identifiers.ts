/**
 * Packet identifiers of QoS 2 messages that a connection has used. Where a session was resumed, another identifier belongs to a handshake that began
 * on a connection before this one. A bit for each, 8 KiB, from the first on.
 */
export class UsedIdentifiers {
  #bits: Uint8Array | null = null

  add(packetId: number): void {
    this.#bits ??= new Uint8Array(8192)
    this.#bits[packetId >>> 3]! |= 1 << (packetId & 7)
  }

  has(packetId: number): boolean {
    return this.#bits !== null && (this.#bits[packetId >>> 3]! & (1 << (packetId & 7))) !== 0
  }
}
