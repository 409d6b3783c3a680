import { defineManifest } from '../kit/define-manifest.ts'

export const sysTopicManifest = defineManifest({
  name: 'sysTopic',
  options: {
    /** How often `$SYS/broker/status` and the dashboards' topics come. */
    interval: { type: 'duration', default: '60s', minimum: 100 },
    /** The QoS of system messages; a subscription's own may be lower. */
    qos: { type: 'integer', enum: [0, 1, 2], default: 0 },
  },
})
