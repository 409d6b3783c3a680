// What makes a broker "Sparkplug Aware" (Sparkplug 3.0, chapter 10): the last NBIRTH of each edge node and the last DBIRTH of each device are retained
// under `$sparkplug/certificates/…`, so that an application that comes later knows what there is without asking each node to be born again.
// The built-in plugin `sparkplug` does this with bounds and figures, and gives NDEATH its time: take that one, and this as a beginning for certificates of your own.
import { definePlugin, matches, Stage } from 'mqttx-broker'

const births = ['spBv1.0/+/NBIRTH/+', 'spBv1.0/+/DBIRTH/+/+']
const certificates = '$sparkplug/certificates/'

/** Keeps the birth certificates of edge nodes and devices. */
export const sparkplugCertificates = definePlugin({
  name: 'sparkplugCertificates',
  requires: ['retained'],
  apply({ hooks, broker }) {
    // Whoever could write there could give a node a birth that it never had.
    hooks.onAuthorize.tap({ name: 'sparkplugCertificates', stage: Stage.Guard, pure: true }, (_publisher, action, topic) =>
      action === 'publish' && topic.startsWith('$sparkplug/') ? false : undefined,
    )

    // A birth that comes from another node of a cluster has been kept by that node.
    hooks.onRoute.tap({ name: 'sparkplugCertificates', stage: Stage.Record }, ({ topic, payload, properties, origin }, _route, receipt) => {
      if (origin === 'peer' || payload.length === 0 || !births.some(filter => matches(filter, topic))) return
      const release = receipt.hold('sparkplugCertificates')
      // The certificate stands until the next birth, whatever the message's own time limit.
      const { messageExpiry: _expiry, ...others } = properties ?? {}
      broker.publish({ topic: certificates + topic, payload, qos: 0, retain: true, properties: others }).then(() => release(), release)
    })
  },
})
