import type { ChildProcess } from 'node:child_process'

/** What `node:cluster` sends and hears between a primary process and a worker; its own, and the same from Node 12 to 24. */
interface ClusterMessage {
  readonly cmd?: string
  readonly act?: string
  readonly seq?: number
  readonly ack?: number
}

/**
 * Closes connections that a worker was handed and did not take before it died. The round robin of `node:cluster` forgets them: they stay open in this process, nobody reads them, and their clients
 * wait for an answer for ever. A client whose connection is closed comes again, and another worker takes it.
 */
export function closeHandedConnections(child: ChildProcess): void {
  const underWay = new Map<number, { close(): void }>()
  const { send } = child
  child.send = ((message: ClusterMessage, handle?: { close(): void }, ...more: unknown[]) => {
    if (message.cmd === 'NODE_CLUSTER' && message.act === 'newconn' && handle !== undefined) underWay.set(message.seq!, handle)
    return (send as (...args: unknown[]) => boolean).call(child, message, handle, ...more)
  }) as ChildProcess['send']
  child.on('internalMessage', ({ ack }: ClusterMessage) => {
    if (ack !== undefined) underWay.delete(ack)
  })
  // Of a worker that was killed there is no `disconnect` where something was on its way to it (Node 20).
  child.once('exit', () => {
    for (const handle of underWay.values()) handle.close()
    underWay.clear()
  })
}
