import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import type { TestClient } from '../support/client.ts'

/** Every PUBLISH that a client has ever heard, once the broker has dealt with everything that it sent before. */
export async function allPublishes(client: TestClient): Promise<PublishPacket[]> {
  await client.rest()
  return client.heard.filter((packet): packet is PublishPacket => packet.type === PacketType.Publish)
}

/** The payloads of all these, as text. */
export async function allPayloads(client: TestClient): Promise<string[]> {
  return (await allPublishes(client)).map(({ payload }) => payload.toString())
}

export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
}

/** A promise that a test settles when it wants to. */
export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>(done => {
    resolve = done
  })
  return { promise, resolve: value => resolve(value) }
}
