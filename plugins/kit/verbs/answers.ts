// What the verbs are given and answer that every broker has, for the types of `broker.inspect` and `broker.operate`.
import type { CountAnswer } from './acts.ts'
import type { ClientDetails, QueueAnswer } from './client.ts'
import type { ClientRow } from './clients.ts'
import type { VerbRow } from './listed.ts'
import type { ClearAnswer, SubscribeAnswer, UnsubscribeAnswer } from './on-behalf.ts'
import type { Page } from './page.ts'
import type { RetainedTreeAnswer } from './retained-levels.ts'
import type { SessionRow } from './sessions.ts'
import type { AlarmRow, NodeRow, StatusAnswer } from './status.ts'
import type { MemoryAnswer, TopRow } from './top.ts'
import type { RetainedRow, SubscriberRow } from './topics.ts'
import type { WhyAnswer } from './why.ts'

export type { CountAnswer } from './acts.ts'
export type { BridgeRow } from './bridges.ts'
export type { ClientDetails, QueueAnswer, WaitingRow } from './client.ts'
export type { ClientRow } from './clients.ts'
export type { VerbRow } from './listed.ts'
export type { ClearAnswer, SubscribeAnswer, UnsubscribeAnswer } from './on-behalf.ts'
export type { RetainedLevelRow, RetainedTreeAnswer } from './retained-levels.ts'
export type { SessionRow } from './sessions.ts'
export type { AlarmRow, NodeRow, StatusAnswer } from './status.ts'
export type { MemoryAnswer, TopRow } from './top.ts'
export type { RetainedRow, SubscriberRow } from './topics.ts'
export type { WhyAnswer, WhyRow } from './why.ts'

interface Paged {
  limit?: number
  after?: string | null
}

interface Everywhere {
  node?: string
}

declare module './verbs.js' {
  interface VerbMap {
    verbs: [given: object, answer: { rows: readonly VerbRow[] }]
    openapi: [given: object, answer: object]
    status: [given: Everywhere, answer: StatusAnswer]
    alarms: [given: Everywhere, answer: { rows: readonly AlarmRow[]; missing?: readonly MissingNode[] }]
    nodes: [given: object, answer: { rows: NodeRow[] }]
    clients: [
      given: Paged &
        Everywhere & {
          user?: string | null
          address?: string | null
          match?: string | null
          protocol?: string | null
          slow?: boolean
          queued?: number | null
          sort?: 'id' | 'user' | 'address' | 'connectedAt' | 'queued' | 'inflight' | 'unwritten' | 'held'
        },
      answer: Page<ClientRow>,
    ]
    client: [given: Everywhere & { id: string }, answer: ClientDetails]
    sessions: [
      given: Paged & { user?: string | null; disconnected?: boolean; queued?: number | null; match?: string | null },
      answer: Page<SessionRow>,
    ]
    queue: [given: Everywhere & { id: string; peek?: number }, answer: QueueAnswer]
    'queue clear': [given: Everywhere & { id: string }, answer: ClearAnswer]
    subscribe: [given: Everywhere & { id: string; filter: string; qos?: number }, answer: SubscribeAnswer]
    unsubscribe: [given: Everywhere & { id: string; filter: string }, answer: UnsubscribeAnswer]
    top: [given: Everywhere & { by?: 'unwritten' | 'queued' | 'held' | 'unanswered'; limit?: number }, answer: Page<TopRow>]
    memory: [given: Everywhere & { limit?: number }, answer: MemoryAnswer]
    subscribers: [given: Paged & Everywhere & { topic: string }, answer: Page<SubscriberRow>]
    subscriptions: [given: Paged & Everywhere & { match?: string | null; id?: string | null }, answer: Page<SubscriberRow>]
    publishers: [given: Paged & Everywhere & { topic: string }, answer: Page<ClientRow>]
    retained: [given: { filter?: string; limit?: number }, answer: { rows: readonly RetainedRow[]; more: boolean; retained: number }]
    'retained tree': [given: { prefix?: string }, answer: RetainedTreeAnswer]
    'retained rm': [given: { topic: string }, answer: { topic: string; removed: boolean }]
    why: [given: Everywhere & { id: string; action: 'publish' | 'subscribe' | 'receive'; topic: string }, answer: WhyAnswer]
    publish: [given: { topic: string; payload?: string; qos?: number; retain?: boolean }, answer: { topic: string; receivers: number }]
    kick: [given: Everywhere & { id?: string | null; user?: string | null }, answer: CountAnswer]
  }
}
