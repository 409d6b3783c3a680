import { useState } from 'preact/hooks'
import type { TracePiece } from '../../plugins/admin/answers.ts'
import { may, useKnown } from '../context.ts'
import { type Numbered, useStream } from '../parts/stream.ts'
import { Chip, Empty, Fault, Head } from '../parts/text.tsx'
import { VirtualList } from '../parts/virtual-list.tsx'
import { type Watched, WatchedFoot, WatchedText, WatchForm } from '../parts/watching.tsx'
import { to } from '../route.ts'

type Whom = 'id' | 'user' | 'address'

const whom: readonly (readonly [Whom, string])[] = [
  ['id', 'Client id'],
  ['user', 'User'],
  ['address', 'Address'],
]
const ways = { in: 'from it', out: 'to it', open: 'was there', end: 'ended' } as const
const shownElsewhere = new Set(['at', 'id', 'way', 'packet', 'n'])

/** The packets of a client as they pass, and a recording of them. */
export function Trace({ id }: { readonly id: string | null }) {
  const { me } = useKnown()
  const [by, setBy] = useState<Whom>('id')
  const [name, setName] = useState(id ?? '')
  const [watched, setWatched] = useState<Watched>({ span: '60s', payload: false })
  const { lines, seen, error, isRunning, isListening, start, stop } = useStream<TracePiece>('trace')
  if (!may(me, 'operate'))
    return (
      <>
        <Head title="Trace" />
        <Empty title="Your token may not trace">It needs the role operate.</Empty>
      </>
    )
  return (
    <div class="fill">
      <Head title="Trace" about="The packets of a client, without its password. It slows nobody.">
        {lines.length > 0 && !isRunning && (
          <button type="button" class="button" onClick={() => save(lines)}>
            Save recording
          </button>
        )}
      </Head>
      <WatchForm watched={watched} change={setWatched} isRunning={isRunning} start={given => start({ [by]: name, ...given })} stop={stop}>
        <label class="sort">
          <span>Of</span>
          <select value={by} disabled={isRunning} onChange={event => setBy(event.currentTarget.value as Whom)}>
            {whom.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <WatchedText label="Whose packets" value={name} change={setName} isRunning={isRunning} />
      </WatchForm>
      <Fault error={error} />
      {lines.length === 0 ? (
        <Empty title={isListening ? 'Waiting for a packet' : isRunning ? 'Starting' : 'Nothing is traced'}>
          {isRunning ? 'The next packet, or its CONNECT, shows here.' : 'Say whose packets, and start.'}
        </Empty>
      ) : (
        <VirtualList
          label="Packets"
          columns="trace"
          rows={lines}
          keyOf={({ n }) => String(n)}
          head={
            <>
              <div role="columnheader">Time</div>
              <div role="columnheader">Way</div>
              <div role="columnheader" class="id">
                Packet
              </div>
              <div role="columnheader">Client</div>
              <div role="columnheader" class="says">
                What it says
              </div>
            </>
          }
          row={({ at, id: client, way, packet, ...rest }) => (
            <>
              <div role="cell" class="number left">
                {new Date(at).toLocaleTimeString('en-GB')}
              </div>
              <div role="cell">
                <Chip kind={way === 'end' ? 'warn' : 'plain'}>{ways[way]}</Chip>
              </div>
              <div role="cell" class="id mono cut">
                {packet ?? (way === 'end' ? 'the connection' : 'a session')}
              </div>
              <div role="cell" class="cut">
                <a class="mono" href={to('clients', client)}>
                  {client}
                </a>
              </div>
              <div role="cell" class="says mono cut" title={saidBy(rest)}>
                {saidBy(rest)}
              </div>
            </>
          )}
          foot={<WatchedFoot seen={seen} isRunning={isRunning} />}
        />
      )}
    </div>
  )
}

// What it is about first; what is as it mostly is says nothing.
function saidBy({ topic, ...fields }: Readonly<Record<string, unknown>>): string {
  return Object.entries(topic === undefined ? fields : { topic, ...fields })
    .filter(([name, value]) => !shownElsewhere.has(name) && value !== false && (name !== 'packetId' || value !== 0))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
}

/** As `mqttx-broker trace --json` prints it, for `mqttx-broker replay`. */
function save(lines: readonly Numbered<TracePiece>[]): void {
  const text = [...lines].reverse().map(({ n: _n, ...piece }) => `${JSON.stringify(piece)}\n`)
  const url = URL.createObjectURL(new Blob(text, { type: 'application/x-ndjson' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `${(lines.at(-1)?.id ?? 'trace').replaceAll(/[^\w.-]/g, '_')}.jsonl`
  link.click()
  URL.revokeObjectURL(url)
}
