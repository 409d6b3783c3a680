import { act, knows } from '../api.ts'
import { may, useKnown } from '../context.ts'
import { ago, bytes, count, duration, many, time } from '../format.ts'
import { useAsked } from '../live.ts'
import { Confirmed } from '../parts/confirm.tsx'
import { Card, Chip, Empty, Facts, Fault, Head, Missing, Table } from '../parts/text.tsx'
import { Why } from '../parts/why.tsx'
import { to } from '../route.ts'

/** One client whole: connection, session, what waits for it, and why it gets what it gets. */
export function ClientView({ id }: { readonly id: string }) {
  const { me } = useKnown()
  const { answer: client, error, again } = useAsked('client', { id }, 5000)
  const queue = useAsked('queue', { id, peek: 10 }, 5000)
  const drops = Object.entries(client?.drops ?? {})
  return (
    <>
      <nav class="crumb" aria-label="Where this is">
        <a href={to('clients')}>Clients</a>
      </nav>
      <Head
        title={id}
        about={
          client === null ? (
            ' '
          ) : client.connected ? (
            <>
              <Chip kind="good">connected</Chip> since {time(client.connectedAt!)} to {client.node}
              {client.slow === true && (
                <>
                  {' '}
                  <Chip kind="warn">slow</Chip>
                </>
              )}
            </>
          ) : client.known ? (
            <>
              <Chip kind="warn">not connected</Chip> its session is kept
            </>
          ) : (
            <Chip kind="bad">not known</Chip>
          )
        }
      >
        {may(me, 'operate') && (
          <>
            <a class="button" href={to('trace', id)}>
              Trace
            </a>
            {knows('ban') && (
              <a class="button danger" href={to('bans', id)}>
                Ban
              </a>
            )}
          </>
        )}
        {client?.connected === true && may(me, 'operate') && (
          <Confirmed
            text="Send away"
            title={`Send ${id} away?`}
            about="Its connection is closed (0x98). Its session stays, and the client may come back at once."
            act={() => act('kick', { id })}
            done={again}
          />
        )}
        {client?.known === true && may(me, 'admin') && (
          <Confirmed
            text="End session"
            title={`End the session of ${id}?`}
            about="Its queue, its subscriptions and its will are lost, and its connection is closed. This cannot be undone."
            act={() => act('end-session', { id })}
            done={again}
          />
        )}
      </Head>
      <Fault error={error} />
      <Missing nodes={client?.missing} />
      {client !== null && !client.known && (
        <Empty title="No such client">Nobody with this client id is connected, and no session is kept for it.</Empty>
      )}
      {client?.known === true && (
        <div class="cards two">
          <div class="column">
            <Card title="Connection">
              <Facts
                rows={[
                  ['User', client.user ?? 'none'],
                  ...(client.connected
                    ? ([
                        ['Address', <span class="mono">{client.address}</span>],
                        ['Protocol', `${client.protocol}, MQTT ${client.mqtt}`],
                        ['Keep alive', client.keepAlive === 0 ? 'none' : `${client.keepAlive} s`],
                        ['Last heard of', ago(client.lastSeenAt!)],
                        ['Not acknowledged by it', many(client.inflight!, 'message')],
                        ['Not acknowledged to it', many(client.unanswered!, 'publish', 'publishes')],
                        ['Not taken by its connection', bytes(client.unwritten!)],
                        ['Memory held', bytes(client.held!)],
                        ['Will', client.will === null ? 'none' : <span class="mono">{client.will}</span>],
                      ] as const)
                    : []),
                  [
                    'Session ends',
                    client.expiryMs === undefined
                      ? 'with its connection'
                      : client.expiryMs === null
                        ? 'never'
                        : `${duration(client.expiryMs)} after its connection`,
                  ],
                ]}
              />
            </Card>
            <Card title="Subscriptions" flush aside={<Chip>{count(client.subscriptions ?? client.filters?.length ?? 0)}</Chip>}>
              {(client.filters?.length ?? 0) === 0 ? (
                <p class="quiet">It has subscribed to nothing.</p>
              ) : (
                <ul class="rows">
                  {client.filters!.map(({ filter, qos }) => (
                    <li key={filter}>
                      <span class="mono cut">{filter}</span>
                      <span class="number">QoS {qos}</span>
                    </li>
                  ))}
                </ul>
              )}
            </Card>
            {drops.length > 0 && (
              <Card title="What it did not get" flush>
                <ul class="rows">
                  {drops.map(([reason, times]) => (
                    <li key={reason}>
                      <span>{reason}</span>
                      <span class="number">{many(times, 'message')}</span>
                    </li>
                  ))}
                </ul>
              </Card>
            )}
          </div>
          <div class="column">
            <Why id={id} />
            <Card
              title="What waits for it"
              flush
              aside={
                queue.answer !== null && (
                  <span class="chips">
                    <Chip kind={queue.answer.messages > 0 ? 'warn' : 'plain'}>{many(queue.answer.messages, 'message')}</Chip>
                    {queue.answer.messages > 0 && may(me, 'admin') && (
                      <Confirmed
                        text="Clear queue"
                        title={`Clear the queue of ${id}?`}
                        about="What waits is lost, though its publishers were told that it is kept. What is on its way to the client stays. This cannot be undone."
                        act={() => act('queue clear', { id })}
                        done={queue.again}
                      />
                    )}
                  </span>
                )
              }
            >
              <Fault error={queue.error} />
              {queue.answer !== null && queue.answer.messages === 0 && <p class="quiet">Nothing waits.</p>}
              {queue.answer !== null && queue.answer.messages > 0 && (
                <>
                  <p class="quiet">
                    {bytes(queue.answer.bytes)}
                    {queue.answer.oldestAt !== null && `, the oldest for ${duration(Date.now() - queue.answer.oldestAt)}`}
                  </p>
                  <Table label="The first that wait" columns={['Topic', ['QoS', 'number'], ['Bytes', 'number'], 'Waits', 'State']}>
                    {queue.answer.peek.map(({ topic, qos, bytes: size, at, sent }, i) => (
                      // biome-ignore lint/suspicious/noArrayIndexKey: its place in the queue is what it is.
                      <tr key={i}>
                        <td class="mono">{topic}</td>
                        <td class="number">{qos}</td>
                        <td class="number">{count(size)}</td>
                        <td>{duration(Date.now() - at)}</td>
                        <td>{sent ? 'sent' : 'queued'}</td>
                      </tr>
                    ))}
                  </Table>
                </>
              )}
            </Card>
          </div>
        </div>
      )}
    </>
  )
}
