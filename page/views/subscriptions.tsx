import { useState } from 'preact/hooks'
import type { SubscriberRow } from '../../plugins/kit/verbs/answers.ts'
import { useKnown } from '../context.ts'
import { count } from '../format.ts'
import { useSettled } from '../live.ts'
import { usePaged } from '../parts/paged.ts'
import { Chip, Choice, Empty, Fault, Head, Missing, Search } from '../parts/text.tsx'
import { VirtualList } from '../parts/virtual-list.tsx'
import { to } from '../route.ts'

type By = 'filter' | 'topic'

/** Who has subscribed to what; or, for a topic, who gets what is published to it. */
export function Subscriptions() {
  const { status } = useKnown()
  const [by, setBy] = useState<By>('filter')
  const [text, setText] = useState('')
  const wanted = useSettled(text)
  const isTopic = by === 'topic' && wanted !== ''
  const page = usePaged<SubscriberRow>(isTopic ? 'subscribers' : 'subscriptions', isTopic ? { topic: wanted } : { match: wanted })
  return (
    <div class="fill">
      <Head title="Subscriptions" about={status === null ? ' ' : `${count(status.subscriptions)} at ${status.node}`} />
      <div class="filters">
        <Choice<By>
          label="Search by"
          options={[
            ['filter', 'Topic filters'],
            ['topic', 'A topic'],
          ]}
          value={by}
          change={setBy}
        />
        <Search
          label={by === 'filter' ? 'Part of a topic filter' : 'Who gets this topic? plant/7/temperature'}
          value={text}
          change={setText}
        />
      </div>
      <Fault error={page.error} />
      <Missing nodes={page.missing} />
      {page.rows.length === 0 && page.isWhole && page.error === null ? (
        <Empty title={isTopic ? 'Nobody gets it' : wanted === '' ? 'Nobody has subscribed' : 'No filter fits'}>
          {isTopic ? 'No subscription matches this topic.' : 'A client that subscribes shows here.'}
        </Empty>
      ) : (
        <VirtualList
          label="Subscriptions"
          columns="subscriptions"
          rows={page.rows}
          keyOf={({ filter, id }) => `${filter} ${id}`}
          reached={page.more}
          head={
            <>
              <div role="columnheader" class="id">
                Topic filter
              </div>
              <div role="columnheader">Client id</div>
              <div role="columnheader">QoS</div>
              <div role="columnheader">Client</div>
            </>
          }
          row={({ filter, id, qos, online }) => (
            <>
              <div role="cell" class="id mono cut" title={filter}>
                {filter}
              </div>
              <div role="cell" class="cut">
                <a class="mono" href={to('clients', id)}>
                  {id}
                </a>
              </div>
              <div role="cell">QoS {qos}</div>
              <div role="cell">{online ? <Chip kind="good">connected</Chip> : <Chip>away</Chip>}</div>
            </>
          )}
          foot={
            <span aria-live="polite">{page.isBusy ? 'Asking…' : `${count(page.rows.length)}${page.isWhole ? '' : ' and more'} shown`}</span>
          }
        />
      )}
    </div>
  )
}
