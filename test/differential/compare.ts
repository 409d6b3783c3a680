import { isDeepStrictEqual } from 'node:util'
import { type Facts, factsOf } from './facts.ts'
import type { Answer, Delivery, Heard, Trace } from './player.ts'
import type { Script, Step } from './script.ts'

/** One thing that the two brokers said otherwise. */
export interface Difference {
  readonly script: Script
  readonly facts: Facts
  readonly step: number
  /** What was done when it came. */
  readonly action: Step
  readonly who: number
  readonly version: 3 | 4 | 5
  /**
   * `field`: both sent the packet, with another value. `ours`, `theirs`: only one of them sent it.
   * `order`: the same packets in another order.
   */
  readonly kind: 'field' | 'ours' | 'theirs' | 'order'
  /** The packet's name in the standard, or `closed` for the end of the connection. */
  readonly packet: string
  /** Of a `field` alone. */
  readonly field: string
  readonly ours: unknown
  readonly theirs: unknown
  readonly delivery: Delivery | null
}

type Where = Pick<Difference, 'script' | 'facts' | 'step' | 'action' | 'who' | 'version'>

/** All differences of one script, in the order in which they came. */
export function differences(script: Script, ours: Trace, theirs: Trace): Difference[] {
  const found: Difference[] = []
  const facts = factsOf(script)
  const [own, other] = [byPlace(ours), byPlace(theirs)]
  for (const [place, { step, who }] of [...places(ours, theirs)].sort(([, a], [, b]) => a.step - b.step || a.who - b.who)) {
    const where: Where = { script, facts, step, action: script.steps[step]!, who, version: script.clients[who]!.version }
    const [mine, its] = [own.get(place), other.get(place)]
    found.push(
      ...ofAnswers(where, mine?.answers ?? [], its?.answers ?? []),
      ...ofDeliveries(where, mine?.deliveries ?? [], its?.deliveries ?? []),
    )
  }
  return found
}

const placeOf = ({ step, who, connection }: Heard): string => `${step} ${who} ${connection}`

function byPlace(trace: Trace): Map<string, Heard> {
  return new Map(trace.map(heard => [placeOf(heard), heard]))
}

function places(ours: Trace, theirs: Trace): Map<string, Heard> {
  return new Map([...byPlace(ours), ...byPlace(theirs)])
}

function ofAnswers(where: Where, ours: readonly Answer[], theirs: readonly Answer[]): Difference[] {
  const found: Difference[] = []
  const left = [...theirs]
  for (const answer of ours) {
    const at = left.findIndex(one => one.cmd === answer.cmd && one.fields.messageId === answer.fields.messageId)
    if (at === -1)
      found.push({ ...where, kind: 'ours', packet: nameOf(answer.cmd), field: '', ours: answer.fields, theirs: null, delivery: null })
    else found.push(...ofFields(where, nameOf(answer.cmd), answer.fields, left.splice(at, 1)[0]!.fields, null))
  }
  for (const answer of left)
    found.push({ ...where, kind: 'theirs', packet: nameOf(answer.cmd), field: '', ours: null, theirs: answer.fields, delivery: null })
  // A PUBREL belongs to a message that the broker sends, so its place among the answers says nothing.
  const [mine, its] = [ours, theirs].map(answers =>
    answers.filter(({ cmd }) => cmd !== 'pubrel').map(({ cmd, fields }) => `${cmd} ${fields.messageId ?? ''}`),
  )
  if (found.every(({ kind }) => kind === 'field') && !isDeepStrictEqual(mine, its))
    found.push({ ...where, kind: 'order', packet: 'answers', field: '', ours: mine, theirs: its, delivery: null })
  return found
}

function ofDeliveries(where: Where, ours: readonly Delivery[], theirs: readonly Delivery[]): Difference[] {
  const found: Difference[] = []
  const left = [...theirs]
  const paired: Delivery[] = []
  // What is the same to the last field finds its like first.
  const alike = new Map<Delivery, Delivery>()
  for (const delivery of ours) {
    const at = left.findIndex(one => isDeepStrictEqual(one, delivery))
    if (at !== -1) alike.set(delivery, left.splice(at, 1)[0]!)
  }
  for (const delivery of ours) {
    const its = alike.get(delivery)
    if (its !== undefined) {
      paired.push(its)
      continue
    }
    const at = left.findIndex(one => isSame(one, delivery))
    if (at === -1) found.push({ ...where, kind: 'ours', packet: 'PUBLISH', field: '', ours: delivery, theirs: null, delivery })
    else {
      const other = left.splice(at, 1)[0]!
      paired.push(other)
      const { topic: _, text: __, ...fields } = delivery
      const { topic: ___, text: ____, ...otherFields } = other
      found.push(...ofFields(where, 'PUBLISH', flat(fields), flat(otherFields), delivery))
    }
  }
  for (const delivery of left)
    found.push({ ...where, kind: 'theirs', packet: 'PUBLISH', field: '', ours: null, theirs: delivery, delivery })
  const inTheirOrder = theirs.filter(one => paired.includes(one))
  const [mine, its] = [paired, inTheirOrder].map(list => list.map(({ topic, text }) => `${topic} ${text}`))
  if (!isDeepStrictEqual(mine, its))
    found.push({
      ...where,
      kind: 'order',
      packet: 'PUBLISH',
      field: '',
      ours: mine,
      theirs: its,
      delivery: null,
    })
  return found
}

const isSame = (one: Delivery, other: Delivery): boolean => one.topic === other.topic && one.text === other.text

function flat({ properties, ...fields }: Omit<Delivery, 'topic' | 'text'>): Record<string, unknown> {
  return { ...fields, ...Object.fromEntries(Object.entries(properties).map(([name, value]) => [`properties.${name}`, value])) }
}

function ofFields(
  where: Where,
  packet: string,
  ours: Readonly<Record<string, unknown>>,
  theirs: Readonly<Record<string, unknown>>,
  delivery: Delivery | null,
): Difference[] {
  return [...new Set([...Object.keys(ours), ...Object.keys(theirs)])]
    .filter(field => !isDeepStrictEqual(ours[field], theirs[field]))
    .map(field => ({ ...where, kind: 'field' as const, packet, field, ours: ours[field], theirs: theirs[field], delivery }))
}

const nameOf = (cmd: string): string => (cmd === 'closed' || cmd === 'silence' || cmd === 'unreadable' ? cmd : cmd.toUpperCase())
