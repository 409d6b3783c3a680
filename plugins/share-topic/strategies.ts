import type { Session } from '../../core/connection/client.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Member, ShareGroup } from '../../core/routing/share-group.ts'
import type { Clock } from '../../core/time/clock.ts'
import { fnv1a } from '../kit/text-hash.ts'

type Group = ShareGroup<Session>
/** Picks a member. Members without a connection are picked only while none has one. */
type Pick = (group: Group, message: Message) => Member<Session> | undefined

/** How members are picked, and who would be picked next, as far as that is settled; a look changes nothing. */
export interface Strategy {
  readonly pick: Pick
  readonly look: Pick
}

/** Each broker makes its own, because some remember. */
export const strategies: Record<'round' | 'random' | 'hash' | 'sticky', (clock: Clock) => Strategy> = { round, random, hash, sticky }

function round(): Strategy {
  const cursors = new WeakMap<Group, { at: number }>()
  const next = ({ members }: Group, at: number): number => {
    for (let step = 1; step <= members.length; step++)
      if (members[(at + step) % members.length]!.subscriber.online) return (at + step) % members.length
    // Nobody is online: their queues take turns.
    return (at + 1) % members.length
  }
  return {
    pick(group) {
      let cursor = cursors.get(group)
      if (cursor === undefined) cursors.set(group, (cursor = { at: -1 }))
      cursor.at = next(group, cursor.at)
      return group.members[cursor.at]
    },
    look: group => group.members[next(group, cursors.get(group)?.at ?? -1)],
  }
}

function random(clock: Clock): Strategy {
  return {
    pick: group => anyOf(clock, candidates(group)),
    look: group => onlyOf(candidates(group)),
  }
}

function hash(): Strategy {
  const pick: Pick = (group, message) => {
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
  // It depends on the publisher, who is not known before there is one.
  return { pick, look: group => onlyOf(candidates(group)) }
}

function sticky(clock: Clock): Strategy {
  const chosen = new WeakMap<Group, Session>()
  const known = (group: Group): Member<Session> | undefined => {
    const before = chosen.get(group)
    return candidates(group).find(({ subscriber }) => subscriber === before)
  }
  return {
    pick(group) {
      const member = known(group) ?? anyOf(clock, candidates(group))
      if (member !== undefined) chosen.set(group, member.subscriber)
      return member
    },
    look: group => known(group) ?? onlyOf(candidates(group)),
  }
}

function anyOf(clock: Clock, members: readonly Member<Session>[]): Member<Session> | undefined {
  return members[clock.random(4).readUInt32BE() % members.length]
}

function onlyOf(members: readonly Member<Session>[]): Member<Session> | undefined {
  return members.length === 1 ? members[0] : undefined
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
