import type { Node } from '../kit/services/bus.ts'

/** The name of the sequencer's socket in the folder of the broker. */
export const sequencerSocket = 'sequencer'

/** What a worker's bus says to the sequencer. `id` names a question, which `ok` answers. */
export type ToSequencer =
  | readonly ['open', id: number, node: Node, heartbeatMs: number, expiryMs: number]
  | readonly ['beat', facts: Node['facts']]
  /** To all, this one too: what the cluster announces (`a`), or what a store has to say (`n`). */
  | readonly ['say', id: number, what: 'a' | 'n', record: unknown]
  | readonly ['row', id: number, table: string, key: string, value: string | null]
  | readonly ['rows', id: number, name: string, boot: string, table: string]
  | readonly ['take', id: number, name: string, boot: string, table: string, key: string]
  | readonly ['agree', id: number, name: string, value: string]
  /** What a dead node has left is seen to. */
  | readonly ['done', name: string, boot: string]
  | readonly ['bye', id: number]

/** What the sequencer says. */
export type FromSequencer =
  | readonly ['ok', id: number, value: unknown]
  /** A living node has that name. */
  | readonly ['no', id: number]
  | readonly ['rows', id: number, rows: readonly (readonly [key: string, value: string])[]]
  | readonly ['joined', node: Node]
  | readonly ['left', node: Node, died: boolean]
  | readonly ['inherit', node: Node]
  | readonly ['beat', name: string, facts: Node['facts']]
  | readonly ['said', from: string, id: number, what: 'a' | 'n', record: unknown]
