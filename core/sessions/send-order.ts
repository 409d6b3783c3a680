const packetIds = 65_535

/**
 * Messages in flight in the order in which they were first sent. Where several brokers write to one queue, that need not be their order in it: a broker may have
 * sent what it put there itself before it heard of what another one had put before it. Identifiers rise as messages are sent, and start again behind the
 * last one; `span`: how many may have been in flight at a time, so that one a little below the queue's first is older than that, and not one round newer.
 */
export function inSendOrder<T extends { readonly packetId: number }>(entries: readonly T[], span: number): T[] {
  const first = entries[0]?.packetId ?? 0
  const rounds = (packetId: number): number => (packetId - first + packetIds) % packetIds
  const age = ({ packetId }: T): number => {
    const behind = rounds(packetId)
    return behind > packetIds - span ? behind - packetIds : behind
  }
  return [...entries].sort((a, b) => age(a) - age(b))
}
