import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { WhoamiAnswer } from '../plugins/admin/answers.ts'
import type { AlarmRow, StatusAnswer } from '../plugins/kit/verbs/answers.ts'
import type { ApiError } from './api.ts'

/** What every view may want to know. */
export interface Known {
  /** Whom the broker takes the visitor for. */
  readonly me: WhoamiAnswer
  /** How the node is; null: not known yet. */
  readonly status: StatusAnswer | null
  /** What is wrong anywhere; null: not known yet. */
  readonly alarms: readonly AlarmRow[] | null
  /** Why the last look has failed; null: it has not. */
  readonly error: ApiError | null
}

/** Handed down by the page. */
export const KnownContext = createContext<Known>(null as unknown as Known)

/** What every view may want to know. */
export function useKnown(): Known {
  return useContext(KnownContext)
}

/** Whether the visitor's role lets do what needs another one. */
export function may({ role }: WhoamiAnswer, needed: 'operate' | 'admin'): boolean {
  return role === 'admin' || (role === 'operate' && needed === 'operate')
}
