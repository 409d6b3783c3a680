import type { Properties } from './packets.ts'
import { Carrier, readProperties, writeProperties } from './properties.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

/** The properties of a message as bytes, as a PUBLISH has them: their length first. Throws a `RangeError` for one that does not fit. */
export function encodeProperties(properties: Properties | undefined): Buffer {
  const writer = new Writer()
  writeProperties(writer, properties)
  return writer.written
}

/** Reads what `encodeProperties` wrote, from `at` on; `end` is where it ends. Throws an `MqttError` for bytes that are no properties of a message. */
export function decodeProperties(bytes: Buffer, at: number): { readonly properties: Properties | undefined; readonly end: number } {
  const reader = new Reader()
  reader.reset(bytes, at, bytes.length)
  const properties = readProperties(reader, Carrier.Publish)
  return { properties, end: reader.at }
}
