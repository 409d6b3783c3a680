// The node that runs the broker inside Node-RED. `node-red/mqttx-broker.cjs`, which Node-RED finds by package.json, hands its runtime over; nothing of the broker is loaded before a flow has
// such a node.
import { BrokerNode } from './broker-node.ts'
import type { EditorFields } from './editor-fields.ts'
import type { NodeRed, RedNode } from './red.ts'

export type { ClientOfEvent, EventMessage } from './event-messages.ts'
export type { EditorFields, NodeRed, RedNode }

/** Registers the node type `mqttx-broker` with a Node-RED runtime. Node-RED calls it by itself. */
export default function registerNode(red: NodeRed): void {
  function MqttxBroker(this: RedNode, fields: EditorFields): void {
    red.nodes.createNode(this, fields)
    new BrokerNode(red, this, fields).open()
  }
  red.nodes.registerType('mqttx-broker', MqttxBroker, { credentials: { username: { type: 'text' }, password: { type: 'password' } } })
}
