import protobuf from 'protobufjs'

// As much of Sparkplug's payload as the tests look at, for an implementation of protobuf that is not the broker's.
const { root } = protobuf.parse(`
  syntax = "proto2";
  message Metric {
    optional string name = 1;
    optional uint64 timestamp = 3;
    optional uint32 datatype = 4;
    optional uint64 long_value = 11;
    optional double double_value = 13;
    optional string string_value = 15;
  }
  message Payload {
    optional uint64 timestamp = 1;
    repeated Metric metrics = 2;
    optional uint64 seq = 3;
    optional string uuid = 4;
    optional bytes body = 5;
  }
`)
const type = root.lookupType('Payload')

export interface SparkplugPayload {
  timestamp?: number
  metrics?: { name: string; timestamp?: number; datatype?: number; longValue?: number; doubleValue?: number; stringValue?: string }[]
  seq?: number
  uuid?: string
}

export function encodePayload(payload: SparkplugPayload): Buffer {
  return Buffer.from(type.encode(type.fromObject(payload)).finish())
}

/** Throws where the bytes are no protobuf message. */
export function decodePayload(bytes: Uint8Array): SparkplugPayload {
  return type.toObject(type.decode(bytes), { longs: Number }) as SparkplugPayload
}

/** What an edge node says of itself as its will, and when it is born: both carry the number of its session. */
export function bdSeq(value: number): NonNullable<SparkplugPayload['metrics']>[0] {
  return { name: 'bdSeq', datatype: 8, longValue: value }
}
