import type { Arrival, FaultEvent } from './history.ts'

/**
 * Compares what publishers read as acknowledged with what readers received. `readers`: those whose durable session was subscribed to
 * everything before the first message. Returns what is wrong, a line each; nothing at all is what the promises say.
 */
export function check(events: readonly FaultEvent[], readers: readonly string[]): string[] {
  const wrong: string[] = []
  const byClient = new Map<string, FaultEvent[]>()
  for (const event of events) {
    const own = byClient.get(event.client) ?? []
    own.push(event)
    byClient.set(event.client, own)
  }
  for (const [client, own] of byClient) lostSessions(client, own, wrong)
  for (const reader of readers) {
    const own = byClient.get(reader) ?? []
    lost(reader, own, events, wrong)
    delivered(reader, own, wrong)
    repeated(reader, own, wrong)
  }
  return wrong
}

/** A durable session is there at every connection but the first. */
function lostSessions(client: string, events: readonly FaultEvent[], wrong: string[]): void {
  const connections = events.filter(event => event.kind === 'connected')
  for (const [i, { sessionPresent }] of connections.entries())
    if (i > 0 && !sessionPresent) wrong.push(`${client}: no session at connection ${i + 1}`)
}

/** Everything acknowledged arrives, but for what was sent before the store was emptied: it may have waited there. */
function lost(reader: string, own: readonly FaultEvent[], all: readonly FaultEvent[], wrong: string[]): void {
  const arrived = new Set(own.flatMap(event => (event.kind === 'received' ? [nameOf(event)] : [])))
  const emptied = all.findLast(event => event.kind === 'emptied')
  for (const event of all) {
    if (event.kind !== 'acknowledged' || arrived.has(nameOf(event))) continue
    if (event.sequence >= (emptied?.sent.get(event.topic) ?? 0)) wrong.push(`${reader}: ${nameOf(event)} was acknowledged and is lost`)
  }
}

/** No QoS 2 message twice; each topic in order, repeats apart. */
function delivered(reader: string, own: readonly FaultEvent[], wrong: string[]): void {
  const seen = new Set<string>()
  const last = new Map<string, number>()
  for (const event of own) {
    if (event.kind !== 'received' || !event.fresh) continue
    const name = nameOf(event)
    if (seen.has(name)) {
      if (event.qos === 2) wrong.push(`${reader}: ${name} came twice`)
      continue
    }
    seen.add(name)
    const before = last.get(event.topic) ?? -1
    if (event.sequence < before) wrong.push(`${reader}: ${name} came behind ${before}`)
    last.set(event.topic, event.sequence)
  }
}

/**
 * What was read and not answered when a connection broke comes again on the next one: with DUP, under its identifier, in its order,
 * and before anything new. A connection that broke before it was all there passes the rest on to the one after it.
 */
function repeated(reader: string, own: readonly FaultEvent[], wrong: string[]): void {
  // By packet identifier: when its message first came, and which one that was. One that comes with DUP at its first time was sent before in vain.
  const turns = new Map<number, { readonly turn: number; readonly name: string }>()
  let unanswered = new Map<number, Arrival>()
  let owed: Arrival[] = []
  for (const [turn, event] of own.entries()) {
    if (event.kind === 'broken') {
      const all = new Map(owed.map(arrival => [arrival.packetId, arrival]))
      for (const [packetId, arrival] of unanswered) all.set(packetId, arrival)
      owed = [...all.values()].toSorted((a, b) => turns.get(a.packetId)!.turn - turns.get(b.packetId)!.turn)
      unanswered = new Map()
    } else if (event.kind === 'answered') {
      unanswered.delete(event.packetId)
    } else if (event.kind === 'received') {
      const { packetId, dup } = event
      unanswered.set(packetId, event)
      const name = nameOf(event)
      if (!dup || turns.get(packetId)?.name !== name) turns.set(packetId, { turn, name })
      const at = owed.findIndex(arrival => arrival.packetId === packetId)
      if (at === -1) {
        // One that was answered in vain may come among them; what is new must not.
        if (dup || owed.length === 0) continue
        wrong.push(`${reader}: ${nameOf(event)} came before ${nameOf(owed[0]!)}, which was in flight`)
        owed = []
      } else {
        const expected = nameOf(owed[at]!)
        if (expected !== nameOf(event)) wrong.push(`${reader}: identifier ${packetId} was ${expected}'s and came with ${nameOf(event)}`)
        else if (!dup) wrong.push(`${reader}: ${expected} came again without DUP`)
        else if (at > 0) wrong.push(`${reader}: ${expected} came again before ${nameOf(owed[0]!)}`)
        owed.splice(at, 1)
      }
    }
  }
}

function nameOf({ topic, sequence }: { readonly topic: string; readonly sequence: number }): string {
  return `${topic} #${sequence}`
}
