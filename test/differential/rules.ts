import { isDeepStrictEqual } from 'node:util'
import type { Difference } from './compare.ts'
import { matching } from './facts.ts'
import { bare, type Misbehaviour, matches } from './script.ts'

/** A difference that both brokers have a right to, or that one of them is known for. */
export interface Rule {
  readonly name: string
  /** Where the standard leaves it open, or which statement mosquitto does not hold. */
  readonly clause: string
  /** `all`: the differences of the whole script. */
  matches(difference: Difference, all: readonly Difference[]): boolean
}

const misbehaves = ({ action }: Difference, kinds: readonly Misbehaviour[]): boolean =>
  action.do === 'misbehave' && kinds.includes(action.kind)

/** This broker ends the connection for it, with DISCONNECT before that in MQTT 5; mosquitto takes it, and sends what `taken` says. */
function breach(name: string, clause: string, kinds: readonly Misbehaviour[], taken: readonly string[] = []): Rule {
  return {
    name,
    clause,
    matches: one =>
      misbehaves(one, kinds) &&
      (one.kind === 'ours' ? one.packet === 'DISCONNECT' || one.packet === 'closed' : one.kind === 'theirs' && taken.includes(one.packet)),
  }
}

/** Both end the connection, and give another reason. */
function reason(name: string, clause: string, codes: readonly [ours: number, theirs: number], kinds: readonly Misbehaviour[]): Rule {
  return {
    name,
    clause,
    matches: one =>
      misbehaves(one, kinds) &&
      one.kind === 'field' &&
      one.packet === 'DISCONNECT' &&
      one.field === 'reasonCode' &&
      one.ours === codes[0] &&
      one.theirs === codes[1],
  }
}

const isSharedSubscribe = ({ action, who }: Difference): boolean =>
  action.do === 'subscribe' && action.who === who && action.asks.some(({ filter }) => filter.startsWith('$share/'))

export const rules: readonly Rule[] = [
  {
    name: 'the text that explains a DISCONNECT',
    clause: 'MQTT 5, 3.14.2.2.3: a Reason String is for people',
    matches: one =>
      one.kind === 'field' && one.packet === 'DISCONNECT' && one.field === 'properties.reasonString' && one.theirs === undefined,
  },
  {
    name: 'PUBREC says that nobody subscribed',
    clause: 'MQTT 5, 3.5.2.1: 0x10 may be said',
    matches: one => one.kind === 'field' && one.packet === 'PUBREC' && one.field === 'reasonCode' && one.ours === 16 && one.theirs === 0,
  },
  {
    name: 'DISCONNECT for a connection that another one took over',
    clause: 'MQTT-3.1.4-3: mosquitto closes it without one',
    matches: one => one.kind === 'ours' && one.packet === 'DISCONNECT' && one.action.do === 'connect' && one.action.who === one.who,
  },
  {
    name: 'the order of retained messages for a new subscription',
    clause: 'MQTT 5, 4.6: of messages of several topics nothing is said',
    matches: one => one.kind === 'order' && one.packet === 'PUBLISH' && one.action.do === 'subscribe' && one.action.who === one.who,
  },
  {
    name: 'retained messages for a shared subscription',
    clause: 'MQTT 5, 4.8.2: a server must not send them; mosquitto does',
    matches: one =>
      one.kind === 'theirs' &&
      one.packet === 'PUBLISH' &&
      isSharedSubscribe(one) &&
      one.delivery!.retain &&
      one.action.do === 'subscribe' &&
      one.action.asks.some(({ filter }) => filter.startsWith('$share/') && matches(bare(filter), one.delivery!.topic)),
  },
  {
    name: 'a retained message of its own for a subscription with No Local',
    clause: 'MQTT-3.8.3-3: it must not be sent; mosquitto does',
    matches: one =>
      one.kind === 'theirs' &&
      one.packet === 'PUBLISH' &&
      one.action.do === 'subscribe' &&
      one.action.who === one.who &&
      one.delivery!.retain &&
      one.facts.publishers.get(one.delivery!.text) === one.who &&
      one.action.asks.some(({ filter, noLocal }) => noLocal && matches(filter, one.delivery!.topic)),
  },
  {
    name: 'the will of a connection that another one took over',
    clause: 'MQTT-3.1.2-8: it is published; mosquitto drops it where the session goes on',
    matches: one => one.kind === 'ours' && one.packet === 'PUBLISH' && one.facts.replacedWills.has(one.delivery!.text),
  },
  {
    name: 'a QoS 2 message goes out at its PUBLISH',
    clause: 'MQTT 5, 4.3.3: or at its PUBREL',
    matches: one =>
      one.packet === 'PUBLISH' &&
      one.delivery !== null &&
      (one.kind !== 'field' || one.field === 'dup') &&
      one.facts.halves.has(one.delivery.text),
  },
  {
    name: 'which retained messages come while the window is full',
    clause: 'MQTT 5, 4.6 and 4.9: their order is free, and QoS 0 needs no room; mosquitto sends it at once, this broker in its turn',
    matches: one =>
      one.packet === 'PUBLISH' &&
      (one.kind === 'ours' || one.kind === 'theirs') &&
      one.delivery!.retain &&
      one.facts.receiveMaximum(one.step, one.who) > 0,
  },
  {
    name: 'one message for a client with several matching subscriptions',
    clause: 'MQTT 5, 3.3.4: one copy with all identifiers, or one for each',
    matches: one => {
      if (one.packet !== 'PUBLISH' || one.delivery === null) return false
      return matching(one.facts.subscriptions(one.step, one.who), one.delivery.topic).length > 1
    },
  },
  {
    name: 'a subscription that was made again with other options',
    clause: 'MQTT-3.8.4-3: the new one replaces it; mosquitto keeps No Local and Retain As Published of the old one',
    matches: one =>
      one.packet === 'PUBLISH' &&
      one.delivery !== null &&
      (one.kind !== 'field' || one.field === 'retain') &&
      matching(one.facts.changed(one.step, one.who), one.delivery.topic).length > 0,
  },
  {
    name: 'which member of a shared subscription gets a message',
    clause: 'MQTT 5, 4.8.2: the server decides; mosquitto may choose one that is away',
    matches: one =>
      one.packet === 'PUBLISH' &&
      (one.kind === 'ours' || one.kind === 'theirs') &&
      matching(one.facts.subscriptions(one.step, one.who), one.delivery!.topic).some(
        ({ filter }) =>
          filter.startsWith('$share/') &&
          one.script.clients.some(
            (_, who) => who !== one.who && one.facts.subscriptions(one.step, who).some(other => other.filter === filter),
          ),
      ),
  },
  {
    name: 'a shared subscription to topics that begin with $',
    clause: 'MQTT 5, 4.8.2: its filter is like any other; mosquitto delivers nothing',
    matches: one =>
      one.kind === 'ours' &&
      one.packet === 'PUBLISH' &&
      one.delivery!.topic.startsWith('$') &&
      matching(one.facts.subscriptions(one.step, one.who), one.delivery!.topic).every(({ filter }) => filter.startsWith('$share/')),
  },
  {
    name: 'PUBACK says that nobody subscribed where the only subscription is a shared one to topics that begin with $',
    clause: 'follows from the rule before',
    matches: (one, all) =>
      one.kind === 'field' &&
      one.packet === 'PUBACK' &&
      one.field === 'reasonCode' &&
      one.ours === 0 &&
      one.theirs === 16 &&
      one.action.do === 'publish' &&
      one.action.topic.startsWith('$') &&
      all.some(other => other.step === one.step && other.kind === 'ours' && other.packet === 'PUBLISH'),
  },
  {
    name: 'a message that differed before comes again on the next connection',
    clause: 'follows from the difference at that message',
    matches: (one, all) =>
      one.packet === 'PUBLISH' &&
      one.action.do === 'connect' &&
      one.action.who === one.who &&
      all.some(
        other =>
          other.step < one.step &&
          other.who === one.who &&
          (one.delivery === null
            ? other.kind === 'order'
            : other.delivery?.topic === one.delivery.topic && other.delivery.text === one.delivery.text),
      ),
  },
  {
    name: 'PUBREL of a message that only one of them sent',
    clause: 'follows from the difference at that message',
    matches: (one, all) =>
      one.packet === 'PUBREL' &&
      (one.kind === 'ours' || one.kind === 'theirs') &&
      all.some(
        other =>
          other.packet === 'PUBLISH' &&
          other.who === one.who &&
          other.step <= one.step &&
          (other.kind === 'ours' || other.kind === 'theirs' || other.field === 'qos'),
      ),
  },
  breach('packets that only a server sends', 'MQTT 5, 4.13.1 and MQTT 3.1.1, 4.8: a protocol error; mosquitto reads over it', [
    'PINGRESP',
    'CONNACK',
    'SUBACK',
    'UNSUBACK',
  ]),
  breach(
    'reserved bits of the first byte',
    'MQTT-2.1.3-1, MQTT-2.2.2-2 of 3.1.1: malformed; mosquitto does not look at them, or says nothing of it',
    ['PINGREQ with wrong flags', 'PUBACK with wrong flags', 'PUBREL with wrong flags', 'DISCONNECT with wrong flags', 'packet type 15'],
    ['PUBCOMP'],
  ),
  breach('a PINGREQ that is longer than it may be', 'MQTT 5, 3.12.1: malformed; mosquitto reads over it', ['PINGREQ with a payload']),
  breach('DUP at QoS 0', 'MQTT-3.3.1-2: it must not be; mosquitto takes it', ['PUBLISH with DUP at QoS 0'], ['PUBLISH']),
  breach(
    'a subscription identifier from a client',
    'MQTT-3.3.4-6: it must not be; mosquitto takes it',
    ['PUBLISH with a subscription identifier'],
    ['PUBLISH'],
  ),
  breach(
    'a response topic with a wildcard',
    'MQTT-3.3.2-14: it must not be; mosquitto takes it',
    ['PUBLISH with a response topic with a wildcard'],
    ['PUBLISH'],
  ),
  breach(
    'No Local for a shared subscription',
    'MQTT-3.8.3-4: a protocol error; mosquitto grants it',
    ['SUBSCRIBE shared with No Local'],
    ['SUBACK'],
  ),
  breach(
    'a shared subscription without its group, or without its filter',
    'MQTT-4.8.2-1, MQTT-4.8.2-2: malformed; mosquitto grants it',
    ['SUBSCRIBE shared without a group', 'SUBSCRIBE shared without a filter'],
    ['SUBACK'],
  ),
  {
    name: '$share/g and $share//t before MQTT 5',
    clause: 'MQTT 3.1.1, 3.9.3: a server may refuse a filter; mosquitto grants it',
    matches: one =>
      misbehaves(one, ['SUBSCRIBE shared without a group', 'SUBSCRIBE shared without a filter']) &&
      one.kind === 'field' &&
      one.packet === 'SUBACK' &&
      isDeepStrictEqual(one.ours, [128]) &&
      isDeepStrictEqual(one.theirs, [0]),
  },
  breach(
    'SUBSCRIBE and UNSUBSCRIBE in MQTT 3.1 without filters, or with other flags',
    'MQTT-3.8.1-1, MQTT-3.8.3-3, MQTT-3.10.1-1 and MQTT-3.10.3-2 of 3.1.1; mosquitto answers where the client speaks 3.1',
    ['SUBSCRIBE without filters', 'SUBSCRIBE with wrong flags', 'UNSUBSCRIBE without filters', 'UNSUBSCRIBE with wrong flags'],
    ['SUBACK', 'UNSUBACK'],
  ),
  breach('mosquitto says nothing when it ends a connection for these', 'MQTT 5, 4.13.1: a DISCONNECT may be sent', [
    'second CONNECT',
    'PUBLISH with one property twice',
    'DISCONNECT with an unknown reason',
    'a length of five bytes',
  ]),
  reason(
    'Protocol Error in place of Malformed Packet',
    'MQTT 5, 4.13: it depends on what is looked at first',
    [0x82, 0x81],
    [
      'SUBSCRIBE with retain handling 3',
      'SUBSCRIBE with subscription identifier 0',
      'SUBSCRIBE with identifier 0',
      'SUBSCRIBE without filters',
      'SUBSCRIBE at QoS 3',
      'UNSUBSCRIBE without filters',
      'UNSUBSCRIBE with identifier 0',
    ],
  ),
  reason(
    'Malformed Packet in place of Protocol Error',
    'MQTT 5, 2.1.2: type 0 is reserved, so the packet cannot be read',
    [0x81, 0x82],
    ['packet type 0'],
  ),
  reason('Topic Alias Invalid for alias 0', 'MQTT-3.3.2-8; mosquitto: malformed', [0x94, 0x81], ['PUBLISH with alias 0']),
  reason('Topic Name Invalid for a wildcard', 'MQTT-3.3.2-2; mosquitto: a protocol error', [0x90, 0x82], ['PUBLISH to a wildcard']),
  {
    name: 'Packet Identifier not found',
    clause: 'MQTT 5, 3.6.2.1 and 3.7.2.1: no error while an exchange is resumed; mosquitto never says it',
    matches: one =>
      misbehaves(one, ['PUBREL of nothing', 'PUBREC of nothing']) &&
      one.kind === 'field' &&
      one.field === 'reasonCode' &&
      one.ours === 0x92 &&
      one.theirs === 0,
  },
  {
    name: 'the will of a client that sends a second CONNECT, or a DISCONNECT that is malformed',
    clause: 'MQTT-3.1.2-8: it is published; mosquitto drops it',
    matches: one =>
      misbehaves(one, ['second CONNECT', 'DISCONNECT with an unknown reason', 'DISCONNECT with wrong flags']) &&
      one.kind === 'ours' &&
      one.packet === 'PUBLISH' &&
      one.facts.publishers.get(one.delivery!.text) === one.action.who,
  },
  {
    name: 'the will of a client that this broker sent away and mosquitto did not',
    clause: 'follows from the difference before',
    matches: (one, all) =>
      one.action.do === 'misbehave' &&
      one.kind === 'ours' &&
      one.packet === 'PUBLISH' &&
      one.facts.publishers.get(one.delivery!.text) === one.action.who &&
      all.some(other => other.step === one.step && other.who === one.action.who && other.kind === 'ours' && other.packet === 'closed'),
  },
]
