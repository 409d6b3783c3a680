import { useState } from 'preact/hooks'
import type { ClientRow } from '../../plugins/kit/verbs/answers.ts'
import { useKnown } from '../context.ts'
import { ago, bytes, count, duration } from '../format.ts'
import { useSettled } from '../live.ts'
import { usePaged } from '../parts/paged.ts'
import { Chip, Empty, Fault, Head, Missing, Search } from '../parts/text.tsx'
import { VirtualList } from '../parts/virtual-list.tsx'
import { to } from '../route.ts'

type Sort = 'id' | 'user' | 'address' | 'connectedAt' | 'queued' | 'inflight' | 'unwritten'

const columns: readonly (readonly [sort: Sort | null, text: string, className: string])[] = [
  ['id', 'Client id', 'id'],
  ['user', 'User', ''],
  ['address', 'Address', ''],
  [null, 'Protocol', ''],
  ['connectedAt', 'Connected', ''],
  ['queued', 'Queued', 'number'],
  ['inflight', 'In flight', 'number'],
  ['unwritten', 'Unwritten', 'number'],
]

/** All clients that are connected, as far as somebody scrolls. */
export function Clients() {
  const { status } = useKnown()
  const [match, setMatch] = useState('')
  const [address, setAddress] = useState('')
  const [slow, setSlow] = useState(false)
  const [sort, setSort] = useState<Sort>('id')
  const page = usePaged<ClientRow>('clients', {
    match: useSettled(match),
    address: useSettled(address, 500),
    sort,
    ...(slow ? { slow } : {}),
  })
  const isSearched = match !== '' || address !== '' || slow
  const shown = page.isWhole
    ? count(page.rows.length)
    : `${count(page.rows.length)}${isSearched || status === null ? ' and more' : ` of ${count(status.connections)}`}`
  return (
    <div class="fill">
      <Head title="Clients" about={status === null ? ' ' : `${count(status.connections)} connected to ${status.node}`}>
        <button type="button" class="button" onClick={page.again}>
          Refresh
        </button>
      </Head>
      <div class="filters">
        <Search label="Part of a client id" value={match} change={setMatch} />
        <Search label="Address or network" value={address} change={setAddress} />
        <label class="sort">
          <span>Sort by</span>
          <select value={sort} onChange={event => setSort(event.currentTarget.value as Sort)}>
            {columns.map(([name, text]) => name !== null && <option value={name}>{text}</option>)}
          </select>
        </label>
        <label class="tick">
          <input type="checkbox" checked={slow} onChange={event => setSlow(event.currentTarget.checked)} /> Slow only
        </label>
      </div>
      <Fault error={page.error} />
      <Missing nodes={page.missing} />
      {page.rows.length === 0 && page.isWhole && page.error === null ? (
        <Empty title={isSearched ? 'No client fits' : 'Nobody is connected'}>
          {isSearched ? 'Search for less of the id, or another address.' : 'A client that connects shows here.'}
        </Empty>
      ) : (
        <VirtualList
          label="Clients"
          columns="clients"
          rows={page.rows}
          keyOf={({ node, id }) => `${node} ${id}`}
          reached={page.more}
          head={columns.map(([name, text, className]) => (
            <div
              key={text}
              role="columnheader"
              class={className}
              aria-sort={name === sort ? (name === 'id' || name === 'user' || name === 'address' ? 'ascending' : 'descending') : undefined}
            >
              {name === null ? (
                text
              ) : (
                <button type="button" onClick={() => setSort(name)}>
                  {text}
                </button>
              )}
            </div>
          ))}
          row={client => <Row {...client} />}
          foot={<span aria-live="polite">{page.isBusy ? 'Asking…' : `${shown} shown`}</span>}
        />
      )}
    </div>
  )
}

function Row({ id, user, address, protocol, mqtt, connectedAt, queued, inflight, unwritten, slow }: ClientRow) {
  return (
    <>
      <div role="cell" class="id">
        <a class="mono cut" href={to('clients', id)} title={id}>
          {id}
        </a>
        {slow && <Chip kind="warn">slow</Chip>}
      </div>
      <div role="cell" class="cut">
        {user ?? '–'}
      </div>
      <div role="cell" class="mono cut">
        {address}
      </div>
      <div role="cell">
        {protocol}, {mqtt}
      </div>
      <div role="cell" title={ago(connectedAt)}>
        {duration(Date.now() - connectedAt)}
      </div>
      <div role="cell" class="number">
        {count(queued)}
      </div>
      <div role="cell" class="number">
        {count(inflight)}
      </div>
      <div role="cell" class="number">
        {bytes(unwritten)}
      </div>
    </>
  )
}
