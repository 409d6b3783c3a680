/** A fault that somebody might make. */
export interface Mutation {
  readonly area: 'window' | 'queue' | 'epoch' | 'routes' | 'retained' | 'wills' | 'expiry' | 'group commit' | 'rights'
  readonly name: string
  readonly file: string
  /** Stands in the file once. */
  readonly find: string
  readonly put: string
  /** Default: disk. */
  readonly store?: 'memory' | 'disk'
}

/** Faults that the simulator must find, each within a minute. */
export const mutations: readonly Mutation[] = [
  // window
  {
    area: 'window',
    name: 'one message more than Receive Maximum',
    file: 'core/sessions/window.ts',
    find: 'return this.count < this.limit',
    put: 'return this.count <= this.limit',
  },
  {
    area: 'window',
    name: 'packet identifiers that are in flight are given again',
    file: 'core/sessions/window.ts',
    find: 'let id = this.#lastId\n',
    put: 'let id = this.#lastId % 3\n',
  },
  {
    area: 'window',
    name: 'a repeat has no DUP',
    file: 'core/sessions/known-session.ts',
    find: 'publish(message, terms, packetId, dup) !== false',
    put: 'publish(message, terms, packetId, false) !== false',
  },
  {
    area: 'window',
    name: 'an acknowledgement lets nothing follow',
    file: 'core/sessions/known-session.ts',
    find: 'onAcked.call(this.client!, message)\n    this.pump()',
    put: 'onAcked.call(this.client!, message)',
  },
  {
    area: 'window',
    name: 'a PUBLISH in place of the PUBREL that is owed',
    file: 'core/sessions/stored-backlog.ts',
    find: '    if (entry.released) {\n',
    put: '    if (entry.released && entry.packetId === 0) {\n',
  },
  // queue
  {
    area: 'queue',
    name: 'a queue takes more than its bound',
    file: 'core/sessions/queue-policy.ts',
    find: 'messages < limits.messagesMax &&',
    put: 'messages < limits.messagesMax + 20 &&',
  },
  {
    area: 'queue',
    name: 'reading a queue leaves some out',
    file: 'core/sessions/stored-backlog.ts',
    find: '      this.#position = entry.position\n',
    put: '      this.#position = entry.position + 2\n',
  },
  {
    area: 'queue',
    name: 'an acknowledged entry stays on the disk',
    file: 'plugins/disk/session-queue.ts',
    find: '    commit.remove(entryKey(this.#session, position))\n',
    put: '',
  },
  {
    area: 'queue',
    name: 'what was in flight is repeated in the wrong order',
    file: 'core/sessions/send-order.ts',
    find: 'age(a) - age(b)',
    put: 'age(b) - age(a)',
  },
  {
    area: 'queue',
    name: 'a message that reaches a session twice is stored once',
    file: 'plugins/disk/disk-sessions.ts',
    find: 'known !== undefined && seen.has(known)',
    put: 'known !== undefined && seen.has(known) && seen.size === 0',
  },
  // epoch
  {
    area: 'epoch',
    name: 'a new session gets what is for the one before',
    file: 'plugins/disk/disk-sessions.ts',
    find: 'epoch !== 0 && epoch < session.number',
    put: 'epoch < 0',
  },
  {
    area: 'epoch',
    name: 'a late end takes the routes of a later session',
    file: 'core/sessions/session-roster.ts',
    find: 'session.epoch > (ended.epoch ?? Number.POSITIVE_INFINITY)',
    put: 'session.epoch < 0',
  },
  {
    area: 'epoch',
    name: 'a claim does not change the owner',
    file: 'plugins/disk/disk-sessions.ts',
    find: '    session.epoch = epoch\n',
    put: '    session.epoch ||= epoch\n',
  },
  {
    area: 'epoch',
    name: 'nobody closes the connection that another takes the place of',
    file: 'core/handlers/connect.ts',
    find: '  if (!strange) host.roster.takeOver(client.clientId)\n',
    put: '',
  },
  {
    area: 'epoch',
    name: 'a packet identifier of an owner before is kept',
    file: 'plugins/disk/disk-sessions.ts',
    find: 'target.epoch === session.epoch ? target.packetId : 0',
    put: 'target.packetId',
  },
  // routes
  {
    area: 'routes',
    name: 'a route is not renewed when a filter with a wildcard comes',
    file: 'core/routing/router.ts',
    find: '      this.#changes += 1\n',
    put: '      this.#changes += this.#changes === 0 ? 1 : 0\n',
  },
  {
    area: 'routes',
    name: 'an UNSUBSCRIBE leaves the route',
    file: 'core/sessions/session-roster.ts',
    find: 'if (session.subscriptions.delete(filter) && isShared(filter)) session.shared -= 1\n    this.#host.router.unsubscribe(session, filter)',
    put: 'if (session.subscriptions.delete(filter) && isShared(filter)) session.shared -= 1',
  },
  {
    area: 'routes',
    name: 'after a start the first subscription of each session is missing',
    file: 'plugins/disk/subscriptions.ts',
    find: 'bySession.get(session.number) ?? []',
    put: '(bySession.get(session.number) ?? []).slice(1)',
  },
  {
    area: 'routes',
    name: 'No Local does nothing',
    file: 'core/routing/dispatcher.ts',
    find: 'if (target.noLocal && target.subscriber === publisher',
    put: 'if (target.noLocal && publisher === null && target.subscriber === publisher',
  },
  {
    area: 'routes',
    name: 'a group sends to members that have left',
    file: 'core/routing/share-group.ts',
    find: '    this.#members.delete(subscriber)\n    this.#list = null\n',
    put: '    this.#members.delete(subscriber)\n',
  },
  // retained
  {
    area: 'retained',
    name: 'an empty message takes nothing away',
    file: 'plugins/disk/disk-retained.ts',
    find: '    if (isRemoval) this.#remove(topic, key, before)\n',
    put: '    if (isRemoval) this.#bytes += 0\n',
  },
  {
    area: 'retained',
    name: 'messages at QoS 2 are not retained',
    file: 'plugins/retain/retain.ts',
    find: '    if (!message.retain) return\n',
    put: '    if (!message.retain || message.qos === 2) return\n',
  },
  {
    area: 'retained',
    name: 'what was decoded before is shown',
    file: 'plugins/disk/disk-retained.ts',
    find: '      this.#decoded.delete(topic)\n      commit.put(key, body)',
    put: '      commit.put(key, body)',
  },
  {
    area: 'retained',
    name: 'acknowledged before it is kept',
    file: 'plugins/disk/disk-retained.ts',
    find: '      if (before === 0) this.#size += 1\n    }\n    return commit.kept()',
    put: '      if (before === 0) this.#size += 1\n    }\n    return Promise.resolve()',
  },
  {
    area: 'retained',
    name: 'the first message of a topic stays',
    file: 'plugins/memory/memory-retained.ts',
    find: '    const kept = { message: message.compact()',
    put: '    if (this.has(message.topic)) return\n    const kept = { message: message.compact()',
    store: 'memory',
  },
  // wills
  {
    area: 'wills',
    name: 'a good-bye sends the will',
    file: 'core/sessions/session-roster.ts',
    find: '    if (publishWill && will !== null) this',
    put: '    if (will !== null) this',
  },
  {
    area: 'wills',
    name: 'the store keeps the will of a good-bye',
    file: 'core/sessions/session-roster.ts',
    find: 'this.#endings.close(session, publishWill && due === null)',
    put: 'this.#endings.close(session, true)',
  },
  {
    area: 'wills',
    name: 'a delay is not waited for',
    file: 'plugins/disk/stored-session.ts',
    find: 'this.closedAt + this.willDelayMs',
    put: 'this.closedAt + 0 * this.willDelayMs',
  },
  {
    area: 'wills',
    name: 'a delayed will is never due',
    file: 'plugins/disk/stored-session.ts',
    find: 'return Math.min(this.expiresAt, this.willAt)',
    put: 'return this.expiresAt',
  },
  {
    area: 'wills',
    name: 'a will is sent twice',
    file: 'core/sessions/session-roster.ts',
    find: '      if (due !== null) this.#host.publishWill(client.clientId, due)\n',
    put: '      if (due !== null) this.#host.publishWill(client.clientId, due)\n      if (due !== null) this.#host.publishWill(client.clientId, due)\n',
  },
  // expiry
  {
    area: 'expiry',
    name: 'expired messages are sent',
    file: 'core/connection/sender.ts',
    find: 'if (left <= 0 && !dup)',
    put: 'if (left <= -1e9 && !dup)',
  },
  {
    area: 'expiry',
    name: 'sessions never end',
    file: 'plugins/disk/stored-session.ts',
    find: ': this.closedAt + this.expiryMs',
    put: ': this.closedAt + this.expiryMs * 1e9',
  },
  {
    area: 'expiry',
    name: 'sessions end early',
    file: 'plugins/disk/stored-session.ts',
    find: ': this.closedAt + this.expiryMs',
    put: ': this.closedAt + this.expiryMs / 50',
  },
  {
    area: 'expiry',
    name: 'a start adds time that has not passed',
    file: 'plugins/disk/folder-time.ts',
    find: '+ (passed ?? 0) -',
    put: '+ (passed ?? 0) * 100 -',
  },
  {
    area: 'expiry',
    name: 'a message lives longer than its publisher said',
    file: 'core/connection/sender.ts',
    find: 'messageExpiry: Math.max(left, 0)',
    put: 'messageExpiry: Math.max(left, 0) + 60',
  },
  // group commit
  {
    area: 'group commit',
    name: 'answered before it is synced',
    file: 'plugins/disk/group-commit.ts',
    find: 'if (batch.keys.length > 0) await this.#target.commit',
    put: 'if (batch.keys.length > 0) void this.#target.commit',
  },
  {
    area: 'group commit',
    name: 'a batch that failed counts as kept',
    file: 'plugins/disk/group-commit.ts',
    find: '      await this.#pause()\n',
    put: '      await this.#pause()\n      return null\n',
  },
  {
    area: 'group commit',
    name: 'nobody waits',
    file: 'plugins/disk/group-commit.ts',
    find: '    return kept\n',
    put: '    return Promise.resolve()\n',
  },
  {
    area: 'group commit',
    name: 'the last write of a large batch is lost',
    file: 'plugins/disk/group-commit.ts',
    find: 'await this.#target.commit(batch.keys, batch.values, batch.bytes)',
    put: 'await this.#target.commit(batch.keys.slice(0, 12), batch.values, batch.bytes)',
  },
  {
    area: 'group commit',
    name: 'what gathered while a batch failed is left behind',
    file: 'plugins/disk/group-commit.ts',
    find: '        this.committed = batch.number\n',
    put: '        this.committed = batch.number + 1\n',
  },
  // rights
  {
    area: 'rights',
    name: 'a publish is not asked about',
    file: 'core/messages/publish-fault.ts',
    find: '  if (isGranted(permission)) return undefined\n',
    put: '  if (isGranted(permission) || message.qos > 0) return undefined\n',
  },
  {
    area: 'rights',
    name: 'a SUBSCRIBE is not asked about',
    file: 'core/handlers/subscribe.ts',
    find: "onAuthorize.call(client, 'subscribe', filter)\n",
    put: "filter.includes('#') ? true : onAuthorize.call(client, 'subscribe', filter)\n",
  },
  {
    area: 'rights',
    name: 'rules about clients do nothing',
    file: 'plugins/topic-security/rules.ts',
    find: 'if (rule.clientIds !== null && !rule.clientIds.has(clientId)) continue',
    put: 'if (rule.clientIds !== null) continue',
  },
  {
    area: 'rights',
    name: 'a denied part of a filter is let pass',
    file: 'plugins/topic-security/judge.ts',
    find: 'if (allows ? covers(said, asked) : overlaps(said, asked)) return allows',
    put: 'if (covers(said, asked)) return allows',
  },
  {
    area: 'rights',
    name: 'a verdict on one topic counts for the next',
    file: 'plugins/topic-security/judge.ts',
    find: 'if (verdicts.lastTopic === topic) return',
    put: 'if (verdicts.lastTopic.at(-1) === topic.at(-1)) return',
  },
]
