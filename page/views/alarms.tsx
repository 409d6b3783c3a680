import { useKnown } from '../context.ts'
import { ago, count, duration, many } from '../format.ts'
import { useAsked } from '../live.ts'
import { AlarmList } from '../parts/alarm-list.tsx'
import { Card, Chip, Empty, Fault, Head, Table } from '../parts/text.tsx'
import { to } from '../route.ts'

/** What is wrong, and what else went wrong in the last hour. */
export function Alarms() {
  const { alarms, error } = useKnown()
  const drops = useAsked('drops', { since: '1h', limit: 50 }, 10_000)
  const takeovers = useAsked('takeovers', { limit: 20 }, 10_000)
  const certificates = useAsked('certificates', {}, 60_000)
  return (
    <>
      <Head title="Alarms" about="What is wrong now, and what was dropped or taken over in the last hour" />
      <Fault error={error} />
      <Card
        title="Now"
        flush
        aside={
          alarms !== null && <Chip kind={alarms.length === 0 ? 'good' : 'warn'}>{alarms.length === 0 ? 'None' : count(alarms.length)}</Chip>
        }
      >
        {alarms === null ? (
          <p class="quiet">Asking…</p>
        ) : alarms.length === 0 ? (
          <Empty title="Nothing is wrong">An alarm that begins shows here within seconds, and in the log.</Empty>
        ) : (
          <AlarmList alarms={alarms} />
        )}
      </Card>
      {drops.error?.code !== 'ERR_VERB' && (
        <Card
          title="Dropped in the last hour"
          flush
          aside={
            <span class="chips">
              {Object.entries(drops.answer?.dropped ?? {}).map(([reason, times]) => (
                <Chip key={reason}>{`${count(times)} ${reason}`}</Chip>
              ))}
            </span>
          }
        >
          <Fault error={drops.error} />
          {drops.answer?.rows.length === 0 && <p class="quiet">No message was dropped, and none refused.</p>}
          {(drops.answer?.rows.length ?? 0) > 0 && (
            <Table label="Dropped messages" columns={['When', 'Client', 'Reason', 'Topic']}>
              {drops.answer!.rows.map(({ at, id, reason, topic }, i) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: of several that are alike nothing else tells them apart.
                <tr key={`${at} ${id} ${i}`}>
                  <td>{ago(at)}</td>
                  <td class="mono">
                    <a href={to('clients', id)}>{id}</a>
                  </td>
                  <td>{reason}</td>
                  <td class="mono">{topic}</td>
                </tr>
              ))}
            </Table>
          )}
        </Card>
      )}
      <Card title="Client ids that take one another over" flush>
        <Fault error={takeovers.error} />
        {takeovers.answer?.rows.length === 0 && <p class="quiet">None has.</p>}
        {(takeovers.answer?.rows.length ?? 0) > 0 && (
          <Table label="Take-overs" columns={['Client', ['Times', 'number'], 'Last', 'From', 'By']}>
            {takeovers.answer!.rows.map(({ id, count: times, at, from, by, node }) => (
              <tr key={`${node} ${id}`}>
                <td class="mono">
                  <a href={to('clients', id)}>{id}</a>
                </td>
                <td class="number">{count(times)}</td>
                <td>{ago(at)}</td>
                <td class="mono">{from}</td>
                <td class="mono">{by ?? '–'}</td>
              </tr>
            ))}
          </Table>
        )}
      </Card>
      {certificates.answer !== null && certificates.answer.rows.length > 0 && (
        <Card title="Certificates" flush>
          <Table label="Certificates" columns={['Of', 'Subject', 'Expires']}>
            {certificates.answer.rows.map(({ at, subject, expiresAt }) => (
              <tr key={`${at} ${subject}`}>
                <td class="mono">{at}</td>
                <td>{subject}</td>
                <td>{expiresAt < Date.now() ? <Chip kind="bad">expired</Chip> : `in ${duration(expiresAt - Date.now())}`}</td>
              </tr>
            ))}
          </Table>
        </Card>
      )}
      {drops.answer?.missing !== undefined && <p class="about">{many(drops.answer.missing.length, 'node')} did not answer.</p>}
    </>
  )
}
