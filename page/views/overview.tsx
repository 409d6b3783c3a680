import { useState } from 'preact/hooks'
import { useKnown } from '../context.ts'
import { bytes, compact, count, duration, many } from '../format.ts'
import { useAsked } from '../live.ts'
import { AlarmList } from '../parts/alarm-list.tsx'
import { Chart } from '../parts/chart.tsx'
import { Icon } from '../parts/icon.tsx'
import { Card, Choice, Fault, Head, Missing } from '../parts/text.tsx'
import { type Span, useRates } from '../rates.ts'
import { to } from '../route.ts'

/** All of a broker in one look: is it well, and what comes and goes. */
export function Overview() {
  const { status, alarms, error } = useKnown()
  const [span, setSpan] = useState<Span>('10m')
  const rates = useRates(span)
  const { answer: top } = useAsked('top', { by: 'queued', limit: 5 }, 6000)
  const last = rates.rows.at(-1)
  const lines = rates.columns
  return (
    <>
      <Head title="Overview" about={status === null ? ' ' : `${status.node} · version ${status.version} · up ${duration(status.uptimeMs)}`}>
        <Choice<Span>
          label="Time shown"
          options={[
            ['10m', '10 min'],
            ['1h', '1 h'],
            ['24h', '24 h'],
          ]}
          value={span}
          change={setSpan}
        />
      </Head>
      <Fault error={error ?? rates.error} />
      <Missing nodes={rates.missing} />
      <Verdict />
      <div class="figures">
        <Figure name="Connections" value={status === null ? '–' : count(status.connections)} href={to('clients')} />
        <Figure name="Messages in" value={last === undefined ? '–' : compact(last.received)} unit="/s" />
        <Figure name="Messages out" value={last === undefined ? '–' : compact(last.sent)} unit="/s" />
        <Figure name="Subscriptions" value={status === null ? '–' : count(status.subscriptions)} href={to('subscriptions')} />
        <Figure name="Loop busy" value={last === undefined ? '–' : compact(last.busyPercent)} unit=" %" />
        <Figure name="Memory" value={last === undefined ? '–' : bytes(last.rss)} />
      </div>
      <div class="charts">
        <Chart
          title="Messages"
          times={rates.times}
          unit="/s"
          say={compact}
          lines={[
            { name: 'In', colour: '--blue', values: lines.received },
            { name: 'Out', colour: '--teal', values: lines.sent },
          ]}
        />
        <Chart
          title="Connections"
          times={rates.times}
          unit=""
          say={compact}
          lines={[{ name: 'Connected', colour: '--teal', values: lines.connections }]}
        />
        <Chart
          title="Dropped and refused"
          times={rates.times}
          unit="/s"
          say={compact}
          lines={[
            { name: 'Dropped', colour: '--red', values: lines.dropped },
            { name: 'Refused', colour: '--amber', values: lines.refused },
          ]}
        />
        <Chart
          title="Event loop"
          times={rates.times}
          unit=" ms"
          say={compact}
          lines={[{ name: 'Longest wait', colour: '--violet', values: lines.lagMs }]}
        />
      </div>
      <div class="cards">
        <Card title="Most waiting" flush aside={<a href={to('clients')}>All clients</a>}>
          {(top?.rows.length ?? 0) === 0 ? (
            <p class="quiet">No client has messages waiting.</p>
          ) : (
            <ul class="rows">
              {top!.rows.map(({ id, value, node }) => (
                <li key={`${node} ${id}`}>
                  <a class="mono cut" href={to('clients', id)}>
                    {id}
                  </a>
                  <span class="number">{many(value, 'message')}</span>
                </li>
              ))}
            </ul>
          )}
        </Card>
        <Card title="This node" flush>
          <ul class="rows">
            {status?.listeners.map(listener => (
              <li key={listener}>
                <span class="mono cut">{listener}</span>
              </li>
            ))}
            <li>
              <span>Store</span>
              <span class="number">
                {status?.store ?? 'none'}
                {status?.storeFreeBytes != null && `, ${bytes(status.storeFreeBytes)} free`}
              </span>
            </li>
            <li>
              <span>Retained messages</span>
              <span class="number">{status === null ? '–' : count(status.retained)}</span>
            </li>
            <li>
              <span>Sessions</span>
              <span class="number">{status === null ? '–' : count(status.sessions)}</span>
            </li>
          </ul>
        </Card>
        <Card title="Bridges" flush aside={<a href={to('bridges')}>More</a>}>
          {(status?.bridges.length ?? 0) === 0 ? (
            <p class="quiet">Messages are bridged nowhere.</p>
          ) : (
            <ul class="rows">
              {status!.bridges.map(({ target, waiting, lagSeconds, connected }) => (
                <li key={target}>
                  <span>{target}</span>
                  <span class="number">
                    {connected === false && 'not connected, '}
                    {many(waiting, 'message')} waiting{lagSeconds > 0 && `, ${duration(lagSeconds * 1000)} behind`}
                  </span>
                </li>
              ))}
            </ul>
          )}
        </Card>
      </div>
      {alarms !== null && alarms.length > 1 && (
        <Card title="Alarms" flush>
          <AlarmList alarms={alarms} />
        </Card>
      )}
    </>
  )
}

function Verdict() {
  const { status, alarms, error } = useKnown()
  if (status === null) return <div class="verdict waiting">Asking the broker…</div>
  const kind = error !== null || !status.serving ? 'bad' : (alarms?.length ?? 0) > 0 || !status.well ? 'warn' : 'good'
  const first = alarms?.[0]
  const title =
    error !== null
      ? 'The broker does not answer'
      : !status.serving
        ? 'Not serving'
        : kind === 'good'
          ? 'All is well'
          : many(alarms?.length ?? status.problems.length, 'alarm')
  const about =
    kind === 'good'
      ? `${status.nodes.length > 1 ? `${status.nodes.length} nodes. ` : ''}Serving ${many(status.connections, 'client')}; nothing is wrong.`
      : (first?.text ?? status.problems[0] ?? error?.message ?? '')
  return (
    <a class={`verdict ${kind}`} href={to('alarms')}>
      <span class="verdict-mark">
        <Icon name={kind === 'good' ? 'check' : 'warning'} size={26} />
      </span>
      <span>
        <strong>{title}</strong>
        <span class="verdict-about">{about}</span>
      </span>
    </a>
  )
}

function Figure({
  name,
  value,
  unit = '',
  href,
}: {
  readonly name: string
  readonly value: string
  readonly unit?: string
  readonly href?: string
}) {
  const content = (
    <>
      <span class="figure-name">{name}</span>
      <span class="figure-value">
        {value}
        <small>{unit}</small>
      </span>
    </>
  )
  return href === undefined ? (
    <div class="figure">{content}</div>
  ) : (
    <a class="figure" href={href}>
      {content}
    </a>
  )
}
