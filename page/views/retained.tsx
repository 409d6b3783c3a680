import { useState } from 'preact/hooks'
import type { RetainedLevelRow } from '../../plugins/kit/verbs/answers.ts'
import { act } from '../api.ts'
import { may, useKnown } from '../context.ts'
import { ago, bytes, count, many } from '../format.ts'
import { useAsked, useSettled } from '../live.ts'
import { Confirmed } from '../parts/confirm.tsx'
import { Icon } from '../parts/icon.tsx'
import { Card, Empty, Fault, Head, Publisher, Search, Table } from '../parts/text.tsx'

// So many levels at the root are opened by themselves.
const openMax = 6

const collator = new Intl.Collator('en', { numeric: true })

/** `2` before `10`. */
function byNumber(a: RetainedLevelRow, b: RetainedLevelRow): number {
  return collator.compare(a.level, b.level)
}

/** The retained messages: as a tree, or those under a topic filter. */
export function Retained() {
  const { status } = useKnown()
  const [text, setText] = useState('')
  const filter = useSettled(text)
  return (
    <>
      <Head title="Retained messages" about={status === null ? ' ' : many(status.retained, 'topic has one', 'topics have one')} />
      <div class="filters">
        <Search label="A topic filter: plant/+/state" value={text} change={setText} />
      </div>
      {filter === '' ? (
        <Card flush title="Topics">
          <p class="tree-head" aria-hidden="true">
            <span>Messages</span>
            <span>Size</span>
            <span class="wide">Newest</span>
          </p>
          <Level prefix="" />
        </Card>
      ) : (
        <Found filter={filter} />
      )}
    </>
  )
}

function Level({ prefix }: { readonly prefix: string }) {
  const { answer, error, again } = useAsked('retained tree', { prefix })
  if (error !== null) return <Fault error={error} />
  if (answer === null) return <p class="quiet">Asking…</p>
  if (answer.rows.length === 0 && prefix === '')
    return <Empty title="No message is retained">One that is published with the retain flag shows here.</Empty>
  return (
    <ul class="tree">
      {answer.rows.toSorted(byNumber).map(row => (
        <Branch key={row.topic} row={row} isOpen={prefix === '' && answer.rows.length <= openMax} gone={again} />
      ))}
      {answer.more && <li class="quiet">There are more; search by a topic filter.</li>}
    </ul>
  )
}

function Branch({ row, isOpen: isFirst, gone }: { readonly row: RetainedLevelRow; readonly isOpen: boolean; gone(): void }) {
  const { topic, level, messages, bytes: size, retained, newestAt } = row
  const [isOpen, open] = useState(isFirst && row.messages > 1)
  const below = messages - (retained ? 1 : 0)
  return (
    <li>
      <button type="button" class="branch" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
        <Icon name="chevron" size={16} />
        <span class={`mono cut ${retained ? 'leaf' : ''}`}>{level === '' ? '(empty level)' : level}</span>
        <span class="branch-about">
          <span>{below > 0 && count(messages)}</span>
          <span>{bytes(size)}</span>
          <span class="wide">{ago(newestAt)}</span>
        </span>
      </button>
      {isOpen && (
        <div class="branch-body">
          {retained && <Message topic={topic} gone={gone} />}
          {below > 0 && <Level prefix={topic} />}
        </div>
      )}
    </li>
  )
}

function Message({ topic, gone }: { readonly topic: string; gone(): void }) {
  const { me } = useKnown()
  const { answer } = useAsked('retained', { filter: topic, limit: 1 })
  const message = answer?.rows[0]
  if (message === undefined) return null
  const { qos, bytes: size, at, from, user } = message
  return (
    <div class="message">
      <p>
        {bytes(size)}, QoS {qos}, {ago(at)}, by <Publisher from={from} />
        {user !== null && ` (user ${user})`}
      </p>
      {may(me, 'operate') && (
        <Confirmed
          text="Take away"
          title="Take the retained message away?"
          about={`New subscribers of ${topic} get nothing until it is published again.`}
          act={() => act('retained rm', { topic })}
          done={gone}
        />
      )}
    </div>
  )
}

function Found({ filter }: { readonly filter: string }) {
  const { answer, error } = useAsked('retained', { filter, limit: 200 })
  return (
    <Card title={`Under ${filter}`} flush>
      <Fault error={error} />
      {answer?.rows.length === 0 && <p class="quiet">No retained message matches.</p>}
      {(answer?.rows.length ?? 0) > 0 && (
        <Table label="Retained messages" columns={['Topic', ['QoS', 'number'], ['Bytes', 'number'], 'Published', 'By']}>
          {answer!.rows.map(({ topic, qos, bytes: size, at, from }) => (
            <tr key={topic}>
              <td class="mono">{topic}</td>
              <td class="number">{qos}</td>
              <td class="number">{count(size)}</td>
              <td>{ago(at)}</td>
              <td class="mono">
                <Publisher from={from} />
              </td>
            </tr>
          ))}
        </Table>
      )}
      {answer?.more === true && <p class="quiet">The first 200; a longer filter shows fewer.</p>}
    </Card>
  )
}
