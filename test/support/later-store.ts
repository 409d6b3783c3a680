import { definePlugin } from '../../core/plugin.ts'
import type { SessionStore } from '../../core/sessions/session-store.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import type { Config } from '../../presets/index.ts'

/** Sessions in memory whose verbs take effect, and answer, a turn of the event loop later each: what a store across a network does. */
const laterStore = definePlugin({
  name: 'laterStore',
  provides: ['sessions', 'retained'],
  apply({ services, clock }) {
    services.provide('sessions', later(new MemorySessions(clock)), 'laterStore')
    services.provide('retained', new MemoryRetained(clock), 'laterStore')
  },
})

/** For `startBroker`: a broker on that store. */
export function onLaterStore(config: Config = {}): Config {
  return { ...config, memory: false, plugins: [laterStore()] }
}

/** The same sessions, a turn of the event loop later each. */
export function later(store: MemorySessions): SessionStore {
  let last: Promise<unknown> = Promise.resolve()
  // One after the other, in the order of the calls.
  const inTurn = <T>(verb: () => T | Promise<T>): Promise<T> => {
    const done = last.then(() => new Promise<void>(resolve => setImmediate(resolve))).then(verb)
    last = done.catch(() => {})
    return done
  }
  return {
    open: (events, limits) => store.open(events, limits),
    sessions: () => store.sessions(),
    claim: request => inTurn(() => store.claim(request)),
    append: (message, targets, received) => inTurn(() => store.append(message, targets, received)),
    page: (session, position, limit) => inTurn(() => store.page(session, position, limit)),
    send: (session, position, packetId) => inTurn(() => store.send(session, position, packetId)),
    ack: (session, packetId) => inTurn(() => store.ack(session, packetId)),
    remove: (session, position) => inTurn(() => store.remove(session, position)),
    release: (session, packetId) => inTurn(() => store.release(session, packetId)),
    forget: (session, packetId) => inTurn(() => store.forget(session, packetId)),
    subscribe: (session, subscriptions) => inTurn(() => store.subscribe(session, subscriptions)),
    unsubscribe: (session, filters) => inTurn(() => store.unsubscribe(session, filters)),
    close: (session, expiryMs, keepWill, closedAt) => inTurn(() => store.close(session, expiryMs, keepWill, closedAt)),
    end: session => inTurn(() => store.end(session)),
    expire: (now, limit) => inTurn(() => store.expire(now, limit)),
    flush: () => inTurn(() => store.flush()),
    keepWill: (clientId, node, will) => inTurn(() => store.keepWill(clientId, node, will)),
    totals: () => inTurn(() => store.totals()),
    peek: (clientId, position, limit) => inTurn(() => store.peek(clientId, position, limit)),
    inspect: clientId => inTurn(() => store.inspect(clientId)),
    list: (after, limit) => inTurn(() => store.list(after, limit)),
  }
}
