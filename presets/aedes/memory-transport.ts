import type { Duplex } from 'node:stream'
import { StreamTransport } from '../../plugins/kit/index.ts'
import type { Clock, RunningBroker, TransportEvents } from '../index.ts'

/**
 * A stream that is no socket may hand over what is written to it before `write` returns. Here it is read when its writer has returned, as aedes reads every stream, and it ends
 * when what was sent last can have been read.
 */
class MemoryTransport extends StreamTransport {
  readonly #stream: Duplex
  readonly #clock: Clock
  #paused = false

  constructor(stream: Duplex, clock: Clock) {
    super(stream, { protocol: 'stream', listener: 'aedes' })
    this.#stream = stream
    this.#clock = clock
  }

  override listen(events: TransportEvents): void {
    // Before `data`: a stream with this listener says when it can be read, and hands over nothing by itself.
    this.#stream.on('readable', () => queueMicrotask(() => this.#read()))
    super.listen(events)
  }

  override pause(): void {
    this.#paused = true
  }

  override resume(): void {
    this.#paused = false
    queueMicrotask(() => this.#read())
  }

  override end(): void {
    this.#clock.turn(() => super.end())
  }

  /** What is read goes to the listeners of `data`. */
  #read(): void {
    while (!this.#paused && this.#stream.read() !== null);
  }
}

/** Takes a stream that is no socket. */
export function acceptInTurns(running: RunningBroker, stream: Duplex): void {
  if (stream.readableObjectMode || stream.writableObjectMode || stream.readableEncoding !== null)
    throw new TypeError('handle: MQTT is bytes; hand in a stream without objectMode and without setEncoding')
  if (stream.destroyed || stream.readableEnded) return void stream.destroy()
  const transport = new MemoryTransport(stream, running.broker.clock)
  const events = running.accept(transport)
  if (events !== null) transport.listen(events)
}
