/** What one load process does to one broker. */
export interface Workload {
  /** `store`: one publisher stores retained messages, each under a topic of its own. `retained`: they are stored before, and subscribers get them. */
  kind: 'publish' | 'pairs' | 'fanOut' | 'fanIn' | 'shared' | 'connect' | 'takeOver' | 'store' | 'retained' | 'wildcards'
  /** Clients that publish, or that connect. Default 1. */
  publishers: number
  /** Clients that subscribe. */
  subscribers: number
  /** Messages of each publisher. */
  messages: number
  /** Bytes of payload, at least 16. */
  payload: number
  qos: 0 | 1 | 2
  /** Messages of one publisher that may be unacknowledged, or at QoS 0 undelivered, at a time. 0: as fast as the sockets take them. */
  window: number
  /** Messages a second in all, evenly spaced, or connections of a `connect` load; 0: as fast as the window allows. */
  rate: number
  cleanSession: boolean
  /** Filters of each subscriber of a `wildcards` load. */
  filters?: number
  /** Where subscribers connect, if elsewhere than publishers: another node of a cluster. */
  subscriberPort?: number
  /** Connections are opened one after the other, so that workers which get one in turn get each the same ones every time. */
  inTurn?: boolean
  /** Client ids that the connections of a `takeOver` load share. */
  clientIds?: number
}

/** What a load process measured. */
export interface LoadResult {
  seconds: number
  /** Deliveries; for publish-only loads acknowledged messages, for connect connections. */
  messages: number
  expected: number
  /** What the broker used from the first message to the last, where the load looks itself: connecting before is not in it. */
  brokerCpuSeconds?: number
  /** Share of one CPU that the load process itself used. */
  loadCpu: number
  /** Microseconds from the moment a message was due to its delivery, or a connection to its CONNACK; only with a rate. */
  mean?: number | null
  p50: number | null
  p99: number | null
}

/** What the parent tells a load process, and what it hears. */
export type Order = { port: number; workload: Workload } | { go: number }
export type Answer = { ready: true } | { result: LoadResult } | { failed: string }
