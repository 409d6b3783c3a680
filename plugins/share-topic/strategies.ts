import type { Session } from '../../core/connection/client.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Member, ShareGroup } from '../../core/routing/share-group.ts'
import { fnv1a } from '../kit/text-hash.ts'

type Group = ShareGroup<Session>
/** Picks a member. Members without a connection are picked only while none has one. */
type Pick = (group: Group, message: Message) => Member<Session> | undefined

/** Each broker makes its own, because some remember. */
export const strategies: Record<'round' | 'random' | 'hash' | 'sticky', () => Pick> = { round, random, hash, sticky }

function round(): Pick {
  const cursors = new WeakMap<Group, { at: number }>()
  return group => {
    const { members } = group
    let cursor = cursors.get(group)
    if (cursor === undefined) cursors.set(group, (cursor = { at: -1 }))
    for (let step = 1; step <= members.length; step++) {
      const at = (cursor.at + step) % members.length
      if (!members[at]!.subscriber.online) continue
      cursor.at = at
      return members[at]
    }
    // Nobody is online: their queues take turns.
    cursor.at = (cursor.at + 1) % members.length
    return members[cursor.at]
  }
}

function random(): Pick {
  return group => {
    const members = candidates(group)
    return members[Math.floor(Math.random() * members.length)]
  }
}

function hash(): Pick {
  return (group, message) => {
    // The member whose own hash with the publisher's is highest: when a member comes or goes, only its share of the
    // publishers moves.
    let best: Member<Session> | undefined
    let bestWeight = -1
    for (const member of candidates(group)) {
      const weight = fnv1a(`${message.clientId}\n${member.subscriber.clientId}`)
      if (weight > bestWeight) {
        best = member
        bestWeight = weight
      }
    }
    return best
  }
}

function sticky(): Pick {
  const chosen = new WeakMap<Group, Session>()
  return group => {
    const members = candidates(group)
    const before = chosen.get(group)
    const member = members.find(({ subscriber }) => subscriber === before) ?? members[Math.floor(Math.random() * members.length)]
    if (member !== undefined) chosen.set(group, member.subscriber)
    return member
  }
}

function candidates({ members }: Group): readonly Member<Session>[] {
  for (const member of members) {
    if (!member.subscriber.online) {
      const online = members.filter(({ subscriber }) => subscriber.online)
      return online.length > 0 ? online : members
    }
  }
  return members
}
