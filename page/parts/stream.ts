import { useEffect, useRef, useState } from 'preact/hooks'
import type { MissingPiece } from '../../plugins/admin/answers.ts'
import { ApiError, pieces } from '../api.ts'
import { asApiError } from '../live.ts'

// What nobody scrolls back to is forgotten.
const linesMax = 1000
const drawnEveryMs = 250

/** A piece, and which one it is. */
export type Numbered<T> = T & { readonly n: number }

/** What a verb says piece by piece, until it ends or somebody stops it. */
export interface Stream<T> {
  /** The last thousand, the newest first. */
  readonly lines: readonly Numbered<T>[]
  /** How many there were, and how many the broker has dropped because they were not read in time. */
  readonly seen: { readonly passed: number; readonly dropped: number }
  readonly error: ApiError | null
  readonly isRunning: boolean
  /** The broker has answered: what passes from now on shows. */
  readonly isListening: boolean
  /** Begins anew. */
  start(given: Record<string, string>): void
  stop(): void
}

/** The pieces of `tail` or `trace`; it ends with the view. */
export function useStream<T extends object>(verb: 'tail' | 'trace'): Stream<T> {
  const [lines, setLines] = useState<readonly Numbered<T>[]>([])
  const [seen, setSeen] = useState({ passed: 0, dropped: 0 })
  const [error, fail] = useState<ApiError | null>(null)
  const [running, run] = useState<AbortController | null>(null)
  const [listening, listen] = useState<AbortController | null>(null)
  const stopped = useRef(running)
  stopped.current = running
  useEffect(() => () => stopped.current?.abort(), [])

  const start = async (given: Record<string, string>): Promise<void> => {
    const ends = new AbortController()
    run(ends)
    fail(null)
    let kept: readonly Numbered<T>[] = []
    let passed = 0
    let dropped = 0
    let isDue = false
    const draw = (): void => {
      isDue = false
      setLines(kept)
      setSeen({ passed, dropped })
    }
    draw()
    try {
      for await (const piece of pieces(verb, given, ends.signal, () => listen(ends))) {
        if ('dropped' in piece) dropped += piece.dropped as number
        else if ('missing' in piece) {
          const { node, why } = piece.missing as MissingPiece['missing']
          fail(new ApiError(0, 'ERR_PAGE', `What passes at node ${node} does not show: ${why}`))
        } else kept = [{ ...(piece as T), n: passed++ }, ...kept.slice(0, linesMax - 1)]
        if (!isDue) {
          isDue = true
          setTimeout(draw, drawnEveryMs)
        }
      }
    } catch (thrown) {
      if (!ends.signal.aborted) fail(asApiError(thrown))
    }
    run(before => (before === ends ? null : before))
  }
  return {
    lines,
    seen,
    error,
    isRunning: running !== null,
    isListening: running !== null && listening === running,
    start: given => void start(given),
    stop() {
      running?.abort()
      run(null)
    },
  }
}
