import { defineManifest } from '../kit/define-manifest.ts'

/** Publishes which clients come and go, and, where it is asked for, a retained message for each client that says whether it is connected. */
export const presenceManifest = defineManifest({
  name: 'presence',
  counters: {
    presenceMerged: {
      figure: 'presence_merged_total',
      help: 'Changes of a client that were not published, because others followed too soon.',
    },
    presenceUnnamed: {
      figure: 'presence_unnamed_total',
      help: 'Changes that were not published, because client id and user name make no topic name.',
    },
    presenceCorrected: { figure: 'presence_corrected_total', help: 'Retained states that said online of a client that was not connected.' },
  },
  options: {
    /** The topic name of the message that a client has come. `{clientId}`, `{username}` and `{node}` stand for what they say, `/`, `+`, `#` and `%` in them percent-encoded. Empty: there is none. */
    connected: { type: 'string', default: '$SYS/brokers/{node}/clients/{clientId}/connected' },
    /** The topic name of the message that a client has gone. Empty: there is none. */
    disconnected: { type: 'string', default: '$SYS/brokers/{node}/clients/{clientId}/disconnected' },
    /** The topic name of a retained message that says whether a client is connected, `presence/{clientId}`; without `{node}`, for a client is at one node or another. No such messages where nothing is said. */
    state: { type: 'string', minLength: 1 },
    /** The payload of `connected`, as text with `{clientId}`, `{username}`, `{node}`, `{address}`, `{time}` (milliseconds since the Unix epoch) and `{reason}`, `{reasonCode}`. JSON with all of it where nothing is said. */
    connectedPayload: { type: 'string' },
    /** The payload of `disconnected`. */
    disconnectedPayload: { type: 'string' },
    /** The payload of `state` while the client is connected. */
    onlinePayload: { type: 'string' },
    /** The payload of `state` while the client is not connected. */
    offlinePayload: { type: 'string' },
    /** The QoS of all these messages; a subscription's own may be lower. */
    qos: { type: 'integer', enum: [0, 1, 2], default: 1 },
    /** How long the state stays, as offline, when the session of a client has ended. `0s`: it is removed at once. */
    offlineFor: { type: 'duration', default: '1d', maximum: '1000d' },
    /** A client that comes and goes more often is published at the beginning and at the end of such a time only. `0s`: each time. */
    interval: { type: 'duration', default: '1s', maximum: '1h' },
  },
})

declare module '../../core/counter-names.js' {
  interface PluginCounts {
    presenceMerged: number
    presenceUnnamed: number
    presenceCorrected: number
  }
}
