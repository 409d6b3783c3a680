import { defineManifest } from '../kit/define-manifest.ts'

/** A Sparkplug Aware MQTT Server, as Sparkplug 3.0 says it: the last birth of each edge node and device is retained, and an NDEATH says when it was sent. */
export const sparkplugManifest = defineManifest({
  name: 'sparkplug',
  requires: ['retained'],
  limits: ['birthCertificates'],
  options: {
    /** Edge nodes and devices whose last birth is kept; the birth of one more is delivered, and not kept. */
    certificatesMax: { type: 'integer', default: 10_000, minimum: 1, live: true },
    /** Bytes of all births that are kept, with their topic names; the same beyond it. */
    bytesMax: { type: 'bytes', default: '128MiB', minimum: 1024, live: true },
    /** Gives each NDEATH the time at which the broker sends it, in place of that at which the edge node connected. */
    ndeathTimestamp: { type: 'boolean', default: true, live: true },
  },
})

declare module '../../core/counter-names.js' {
  interface LimitCounts {
    /** `sparkplug.certificatesMax` and `sparkplug.bytesMax`. */
    birthCertificates: number
  }
}
