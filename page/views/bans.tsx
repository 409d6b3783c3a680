import { useState } from 'preact/hooks'
import type { BanRow } from '../../plugins/ban/verbs.ts'
import { type ApiError, act } from '../api.ts'
import { may, useKnown } from '../context.ts'
import { ago, duration } from '../format.ts'
import { asApiError, useSettled } from '../live.ts'
import { Confirmed } from '../parts/confirm.tsx'
import { usePaged } from '../parts/paged.ts'
import { Card, Empty, Fault, Head, Search, Table } from '../parts/text.tsx'
import { to } from '../route.ts'

const kinds: Readonly<Record<BanRow['by'], string>> = { id: 'Client id', user: 'User', address: 'Address' }
const spans = [
  ['10m', '10 minutes'],
  ['1h', '1 hour'],
  ['1d', '1 day'],
  ['', 'until it is lifted'],
] as const

/** Who may not connect, and a form to say who else. `id`: who it is about when it is opened. */
export function Bans({ id }: { readonly id: string | null }) {
  const { me } = useKnown()
  const [match, setMatch] = useState('')
  const page = usePaged<BanRow>('bans', { match: useSettled(match) })
  const isOff = page.error?.code === 'ERR_VERB'
  return (
    <>
      <Head title="Bans" about="Who may not connect, at any node">
        {!isOff && (
          <button type="button" class="button" onClick={page.again}>
            Refresh
          </button>
        )}
      </Head>
      {!isOff && may(me, 'operate') && <BanForm id={id} done={page.again} />}
      <Card title="Banned" flush>
        <div class="filters inner">
          <Search label="Part of a name" value={match} change={setMatch} />
        </div>
        <Fault error={page.error} />
        {page.rows.length === 0 && page.isWhole && page.error === null && (
          <Empty title={match === '' ? 'Nobody is banned' : 'No such ban'}>A ban that somebody says shows here.</Empty>
        )}
        {page.rows.length > 0 && (
          <Table label="Bans" columns={['Whom', 'By', 'Ends', 'Said', 'Why', 'Lift']} isStacked>
            {page.rows.map(({ by, name, endsAt, bannedAt, actor, reason }) => (
              <tr key={`${by} ${name}`}>
                <td class="mono">{by === 'id' ? <a href={to('clients', name)}>{name}</a> : name}</td>
                <td>{kinds[by]}</td>
                <td>{endsAt === null ? 'never' : `in ${duration(endsAt - Date.now())}`}</td>
                <td>
                  {bannedAt === null ? '–' : ago(bannedAt)} {actor !== null && <span class="faint">{actor}</span>}
                </td>
                <td>{reason ?? ''}</td>
                <td>
                  {may(me, 'operate') && (
                    <Confirmed
                      text="Lift"
                      title={`Let ${name} connect again?`}
                      about="The ban ends at all nodes. Whoever it was may come back at once."
                      act={() => act('unban', { [by]: name })}
                      done={page.again}
                    />
                  )}
                </td>
              </tr>
            ))}
          </Table>
        )}
        {page.rows.length > 0 && !page.isWhole && !page.isBusy && (
          <p class="quiet">
            <button type="button" class="button" onClick={page.more}>
              Show more
            </button>
          </p>
        )}
      </Card>
    </>
  )
}

function BanForm({ id, done }: { readonly id: string | null; done(): void }) {
  const [by, setBy] = useState<BanRow['by']>('id')
  const [name, setName] = useState(id ?? '')
  const [span, setSpan] = useState('1h')
  const [reason, setReason] = useState('')
  const [error, fail] = useState<ApiError | null>(null)
  const [said, say] = useState('')
  const ban = async (): Promise<void> => {
    fail(null)
    try {
      const { connections } = await act('ban', { [by]: name, ...(span === '' ? {} : { for: span }), ...(reason === '' ? {} : { reason }) })
      say(`${name} is banned; ${connections === 1 ? '1 connection was' : `${connections} connections were`} closed here.`)
      setName('')
      setReason('')
      done()
    } catch (thrown) {
      fail(asApiError(thrown))
    }
  }
  return (
    <Card title="Ban somebody">
      <form
        class="fields"
        onSubmit={event => {
          event.preventDefault()
          void ban()
        }}
      >
        <label class="field">
          <span>By</span>
          <select value={by} onChange={event => setBy(event.currentTarget.value as BanRow['by'])}>
            {Object.entries(kinds).map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label class="field grows">
          <span>{by === 'address' ? 'Address, or a network as 10.1.0.0/16' : kinds[by]}</span>
          <input
            class="mono"
            required
            value={name}
            autocapitalize="off"
            spellcheck={false}
            onInput={event => setName(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>For</span>
          <select value={span} onChange={event => setSpan(event.currentTarget.value)}>
            {spans.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label class="field grows">
          <span>Why, for other operators</span>
          <input value={reason} maxLength={500} onInput={event => setReason(event.currentTarget.value)} />
        </label>
        <button type="submit" class="button danger solid">
          Ban
        </button>
      </form>
      <Fault error={error} />
      <p class="quiet" role="status">
        {said === '' ? 'Who is connected is sent away. The session stays, with what waits in it.' : said}
      </p>
    </Card>
  )
}
