/** What a listener hands to the broker: one byte stream to one client. */
export interface Transport {
  /** `tcp`, `tls`, `ws`, `wss`, `memory`… for logs and metrics. */
  readonly protocol: string
  readonly remoteAddress: string
  readonly remotePort: number
  /** The listener's own name, for its settings. */
  readonly listener: string
  /**
   * Writes bytes. `true`: all of them have been taken and the buffer may be used again. `false`: they belong to the
   * transport now and must never be changed; `onDrain` follows where `bufferedBytes` is not 0.
   */
  write(bytes: Buffer): boolean
  /** The same for several buffers, in one system call where there can be one. */
  writeMany(buffers: readonly Buffer[]): boolean
  /** Bytes written and not yet taken by the operating system. */
  readonly bufferedBytes: number
  /** Stops reading; what has arrived already may still be handed over. */
  pause(): void
  resume(): void
  /** Sends what is waiting, then closes. */
  end(): void
  /** Closes at once. */
  destroy(): void
}

/** What the broker wants to hear of a transport. */
export interface TransportEvents {
  /** Bytes in `chunk` from `start` to `end`; they may be overwritten when the call returns. */
  onData(chunk: Buffer, start: number, end: number): void
  /** `bufferedBytes` is 0 again. */
  onDrain(): void
  /** Called once, however it ended. */
  onClose(error: Error | undefined): void
}
