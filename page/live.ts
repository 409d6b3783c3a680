import { useEffect, useRef, useState } from 'preact/hooks'
import type { Answered, Given, VerbName } from '../plugins/kit/verbs/verbs.ts'
import { ApiError, ask } from './api.ts'

/** The last answer of a verb, and what was wrong the last time. */
export interface Asked<A> {
  readonly answer: A | null
  readonly error: ApiError | null
  /** Asks now. */
  again(): void
}

/**
 * Asks a verb, again every so many milliseconds while the page is seen, and never twice at once. `everyMs` null: once. `given` null: not at all. An answer to what was asked
 * before `given` has changed is passed over.
 */
export function useAsked<V extends VerbName>(verb: V, given: Given<V> | null, everyMs: number | null = null): Asked<Answered<V>> {
  const key = JSON.stringify(given)
  const [state, set] = useState<{ key: string; answer: Answered<V> | null; error: ApiError | null }>({ key, answer: null, error: null })
  const poke = useRef<() => void>(() => {})
  useEffect(() => {
    if (given === null) return
    const { stop, now } = whileSeen(async signal => {
      try {
        const answer = await ask(verb, given, signal)
        set({ key, answer, error: null })
      } catch (error) {
        if (!signal.aborted) set(before => ({ key, answer: before.key === key ? before.answer : null, error: asApiError(error) }))
      }
      return everyMs
    })
    poke.current = now
    return stop
  }, [verb, key, everyMs])
  const isOf = state.key === key
  return { answer: isOf ? state.answer : null, error: isOf ? state.error : null, again: () => poke.current() }
}

/** Runs something now, and again so many milliseconds after it was done as it says itself, while the page is seen; never twice at once. It says null: not again. */
export function whileSeen(run: (signal: AbortSignal) => Promise<number | null>): { stop(): void; now(): void } {
  const gone = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  let isBusy = false
  let isOver = false
  const go = async (): Promise<void> => {
    if (isBusy) return
    isBusy = true
    clearTimeout(timer)
    const waitMs = await run(gone.signal)
    isBusy = false
    isOver = waitMs === null
    if (waitMs !== null && !gone.signal.aborted && !document.hidden) timer = setTimeout(go, waitMs)
  }
  const seen = (): void => {
    if (!document.hidden && !isOver) void go()
  }
  document.addEventListener('visibilitychange', seen)
  void go()
  return {
    now: () => void go(),
    stop() {
      gone.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', seen)
    },
  }
}

/** Whatever was thrown, as what the page shows. */
export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, 'ERR_PAGE', error instanceof Error ? error.message : String(error))
}

/** A value that follows another one when that has been still for a while: for what is typed. */
export function useSettled<T>(value: T, ms = 250): T {
  const [settled, set] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => set(value), ms)
    return () => clearTimeout(timer)
  }, [value, ms])
  return settled
}
