import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import type { Given, VerbName } from '../../plugins/kit/verbs/verbs.ts'
import { type ApiError, ask } from '../api.ts'
import { asApiError } from '../live.ts'

/** Rows that come a page at a time, as far as somebody has looked. */
export interface Paged<R> {
  readonly rows: readonly R[]
  readonly isWhole: boolean
  readonly isBusy: boolean
  readonly error: ApiError | null
  readonly missing: readonly { readonly node: string; readonly why: string }[] | undefined
  /** Asks for the next page, if there is one. */
  more(): void
  /** Begins anew. */
  again(): void
}

interface PageOf<R> {
  readonly rows: readonly R[]
  readonly next: string | null
  readonly missing?: readonly { readonly node: string; readonly why: string }[]
}

const pageRows = 200

/** The rows of a verb that answers in pages. */
export function usePaged<R>(verb: VerbName, given: Readonly<Record<string, unknown>>): Paged<R> {
  const key = JSON.stringify(given)
  const [state, set] = useState<{
    rows: readonly R[]
    next: string | null
    error: ApiError | null
    isBusy: boolean
    missing?: PageOf<R>['missing']
  }>({ rows: [], next: null, error: null, isBusy: true })
  const current = useRef({ next: null as string | null, gone: new AbortController(), busy: false })

  const load = useCallback(
    async (after: string | null) => {
      const mine = current.current
      if (mine.busy) return
      mine.busy = true
      set(before => ({ ...before, isBusy: true }))
      try {
        const page = (await ask(verb, { ...given, limit: pageRows, after } as Given<VerbName>, mine.gone.signal)) as PageOf<R>
        if (mine !== current.current) return
        mine.next = page.next
        set(before => ({
          rows: after === null ? page.rows : [...before.rows, ...page.rows],
          next: page.next,
          error: null,
          isBusy: false,
          missing: page.missing,
        }))
      } catch (error) {
        if (mine === current.current) set(before => ({ ...before, error: asApiError(error), isBusy: false }))
      } finally {
        mine.busy = false
      }
    },
    [verb, key],
  )

  const again = useCallback(() => {
    current.current.gone.abort()
    current.current = { next: null, gone: new AbortController(), busy: false }
    void load(null)
  }, [load])
  useEffect(() => {
    again()
    return () => current.current.gone.abort()
  }, [again])

  const more = useCallback(() => {
    const { next } = current.current
    if (next !== null) void load(next)
  }, [load])
  return {
    rows: state.rows,
    isWhole: !state.isBusy && state.next === null,
    isBusy: state.isBusy,
    error: state.error,
    missing: state.missing,
    more,
    again,
  }
}
