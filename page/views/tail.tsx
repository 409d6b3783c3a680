import { useState } from 'preact/hooks'
import type { TailPiece } from '../../plugins/admin/answers.ts'
import { bytes } from '../format.ts'
import { useStream } from '../parts/stream.ts'
import { Empty, Fault, Head, Publisher } from '../parts/text.tsx'
import { VirtualList } from '../parts/virtual-list.tsx'
import { type Watched, WatchedFoot, WatchedText, WatchForm } from '../parts/watching.tsx'

/** Messages as they pass. */
export function Tail() {
  const [filter, setFilter] = useState('#')
  const [watched, setWatched] = useState<Watched>({ span: '60s', payload: false })
  const { lines, seen, error, isRunning, isListening, start, stop } = useStream<TailPiece>('tail')
  const { payload } = watched
  return (
    <div class="fill">
      <Head title="Live tail" about="Messages as they are published. What is not read in time is dropped, and slows nobody." />
      <WatchForm watched={watched} change={setWatched} isRunning={isRunning} start={given => start({ filter, ...given })} stop={stop}>
        <WatchedText label="Topic filter" value={filter} change={setFilter} isRunning={isRunning} />
      </WatchForm>
      <Fault error={error} />
      {lines.length === 0 ? (
        <Empty title={isListening ? 'Waiting for a message' : isRunning ? 'Starting' : 'Nothing is watched'}>
          {isRunning ? `The next message under ${filter} shows here.` : 'Say which topics, and start.'}
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
          foot={<WatchedFoot seen={seen} isRunning={isRunning} />}
        />
      )}
    </div>
  )
}
