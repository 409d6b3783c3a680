import type { Figure, Figures, Sample } from '../kit/figures.ts'
import type { Bus } from '../kit/services/bus.ts'
import { asTopicLevel } from '../kit/topics.ts'
import type { ClusterNode } from './node.ts'

// What each node says of itself at its signs of life, and how it is shown: by node, and summed.
const facts = [
  ['uptime', 'uptime_seconds', 'gauge', 'Seconds since the node started.', 'uptime'],
  ['connections', 'connections', 'gauge', 'Clients that are connected to the node.', 'clients/connected'],
  [
    'received',
    'received_messages_total',
    'counter',
    'PUBLISH packets that the node has received from clients.',
    'publish/messages/received',
  ],
  ['sent', 'sent_messages_total', 'counter', 'PUBLISH packets that the node has sent to clients.', 'publish/messages/sent'],
  ['routes', 'routes', 'gauge', 'Filters of which the other nodes know that this one wants their messages.', 'routes'],
  ['forwarded', 'forwarded_messages_total', 'counter', 'Messages that the node has sent to others.', 'publish/messages/forwarded'],
] as const

/** Offers what is known of all nodes: to `$SYS` each apart and summed, as fresh as their last signs of life; to `/metrics` what this node says of itself. */
export function offerFigures(figures: Figures, bus: Bus, node: ClusterNode): void {
  const { outgoing, confirmations } = node
  const add = (name: string, type: Figure['type'], help: string, read: () => Sample[]) =>
    figures.add({ name: `cluster_${name}`, type, help, read })
  add('nodes', 'gauge', 'Nodes that are alive.', () => [{ value: bus.nodes().length, sys: 'cluster/nodes' }])
  add('forwarded_total', 'counter', 'Messages that this node has sent to others, by way.', () => [
    { value: outgoing.posted, labels: { way: 'kept' } },
    { value: outgoing.told, labels: { way: 'qos0' } },
  ])
  add('arrived_total', 'counter', 'Messages that other nodes have sent to this one.', () => [{ value: node.received }])
  add(
    'arrived_lost_total',
    'counter',
    'What other nodes have sent to this one at QoS 0 and was lost because too much of it waited.',
    () => [{ value: node.inbox.lost }],
  )
  figures.add(
    outgoing.timing.figure('cluster_bus_seconds', 'From handing messages for another node to the bus until they cannot be lost any more.'),
  )
  add('absent_nodes', 'gauge', 'Nodes that answers do not wait for, because they have not confirmed in time or are not there yet.', () => [
    { value: confirmations.absent },
  ])
  add('left_out_total', 'counter', 'How often a node was left out of the waiting because it did not confirm in time.', () => [
    { value: confirmations.leftOut },
  ])
  figures.add(
    confirmations.timing.figure('cluster_confirm_seconds', 'From when an answer could leave until all living nodes act on what it says.'),
  )
  for (const [fact, name, type, help, topic] of facts) {
    const of = (value: number | string | undefined): number => Number(value ?? 0)
    add(`node_${name}`, type, help, () =>
      bus.nodes().map(({ name, facts }) => ({
        value: of(facts[fact]),
        labels: { node: name },
        sys: `nodes/${asTopicLevel(name)}/${topic}`,
        sysOnly: name !== bus.node,
      })),
    )
    // A sum of times says nothing, and Prometheus sums by itself.
    if (fact === 'uptime') continue
    add(`all_${name}`, 'gauge', `The same of all nodes together. ${help}`, () => [
      { value: bus.nodes().reduce((sum, node) => sum + of(node.facts[fact]), 0), sys: `cluster/${topic}`, sysOnly: true },
    ])
  }
}
