import { useEffect, useRef, useState } from 'preact/hooks'
import { type ApiError, pieces } from '../api.ts'
import { may, useKnown } from '../context.ts'
import { bytes, count } from '../format.ts'
import { asApiError } from '../live.ts'
import { Icon } from '../parts/icon.tsx'
import { Empty, Fault, Head, Publisher } from '../parts/text.tsx'
import { VirtualList } from '../parts/virtual-list.tsx'

interface Line {
  readonly n: number
  readonly at: number
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly bytes: number
  readonly from: string
  readonly payload?: string | { readonly base64: string }
}

// What nobody scrolls back to is forgotten.
const linesMax = 1000
const drawnEveryMs = 250

/** Messages as they pass. */
export function Tail() {
  const { me } = useKnown()
  const [filter, setFilter] = useState('#')
  const [span, setSpan] = useState('60s')
  const [payload, setPayload] = useState(false)
  const [lines, setLines] = useState<readonly Line[]>([])
  const [seen, setSeen] = useState({ passed: 0, dropped: 0 })
  const [error, fail] = useState<ApiError | null>(null)
  const [running, run] = useState<AbortController | null>(null)
  const stopped = useRef(running)
  stopped.current = running
  useEffect(() => () => stopped.current?.abort(), [])

  const start = async (): Promise<void> => {
    const ends = new AbortController()
    run(ends)
    fail(null)
    setLines([])
    let kept: readonly Line[] = []
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
      for await (const piece of pieces(
        'tail',
        { filter, for: span, limit: '100000', ...(payload ? { payload: 'true' } : {}) },
        ends.signal,
      )) {
        if ('dropped' in piece) dropped += piece.dropped as number
        else kept = [{ ...(piece as Omit<Line, 'n'>), n: passed++ }, ...kept.slice(0, linesMax - 1)]
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

  return (
    <div class="fill">
      <Head title="Live tail" about="Messages as they pass this node. What is not read in time is dropped, and slows nobody." />
      <form
        class="filters"
        onSubmit={event => {
          event.preventDefault()
          if (running === null) void start()
          else {
            running.abort()
            run(null)
          }
        }}
      >
        <label class="search">
          <Icon name="search" />
          <input
            class="mono"
            aria-label="Topic filter"
            required
            value={filter}
            disabled={running !== null}
            autocapitalize="off"
            spellcheck={false}
            onInput={event => setFilter(event.currentTarget.value)}
          />
        </label>
        <label class="sort">
          <span>For</span>
          <select value={span} disabled={running !== null} onChange={event => setSpan(event.currentTarget.value)}>
            <option value="60s">1 minute</option>
            <option value="10m">10 minutes</option>
            <option value="1h">1 hour</option>
          </select>
        </label>
        {may(me, 'admin') && (
          <label class="tick">
            <input
              type="checkbox"
              checked={payload}
              disabled={running !== null}
              onChange={event => setPayload(event.currentTarget.checked)}
            />{' '}
            Payloads
          </label>
        )}
        <button type="submit" class={running === null ? 'button solid' : 'button'}>
          <Icon name={running === null ? 'play' : 'stop'} size={16} />
          {running === null ? 'Start' : 'Stop'}
        </button>
      </form>
      <Fault error={error} />
      {lines.length === 0 ? (
        <Empty title={running === null ? 'Nothing is watched' : 'Waiting for a message'}>
          {running === null ? 'Say which topics, and start.' : `The next message under ${filter} shows here.`}
        </Empty>
      ) : (
        <VirtualList
          label="Messages"
          columns={payload ? 'tail payloads' : 'tail'}
          rows={lines}
          keyOf={({ n }) => String(n)}
          head={
            <>
              <div role="columnheader">Time</div>
              <div role="columnheader" class="id">
                Topic
              </div>
              <div role="columnheader">From</div>
              <div role="columnheader">QoS</div>
              <div role="columnheader" class="number">
                Size
              </div>
              {payload && <div role="columnheader">Payload</div>}
            </>
          }
          row={({ at, topic, from, qos, retain, bytes: size, payload: text }) => (
            <>
              <div role="cell" class="number left">
                {new Date(at).toLocaleTimeString('en-GB')}
              </div>
              <div role="cell" class="id mono cut" title={topic}>
                {topic}
              </div>
              <div role="cell" class="cut">
                <Publisher from={from} />
              </div>
              <div role="cell">
                QoS {qos}
                {retain && ', retained'}
              </div>
              <div role="cell" class="number">
                {bytes(size)}
              </div>
              {payload && (
                <div role="cell" class="mono cut">
                  {text === undefined ? '' : typeof text === 'string' ? text : `base64 ${text.base64}`}
                </div>
              )}
            </>
          )}
          foot={
            <span aria-live="polite">
              {count(seen.passed)} passed{seen.dropped > 0 && `, ${count(seen.dropped)} not shown`}
              {running === null ? '; stopped' : ''}
            </span>
          }
        />
      )}
    </div>
  )
}
