import { useState } from 'preact/hooks'
import type { WhyAnswer } from '../../plugins/kit/verbs/answers.ts'
import { type ApiError, ask } from '../api.ts'
import { ago } from '../format.ts'
import { asApiError } from '../live.ts'
import { Icon } from './icon.tsx'
import { Card, Fault } from './text.tsx'

type Action = 'receive' | 'publish' | 'subscribe'

const questions: Readonly<Record<Action, string>> = {
  receive: 'Does it get what is published to',
  publish: 'May it publish to',
  subscribe: 'May it subscribe to',
}

/** Asks why a client may, or gets, or not. Nothing is sent to find out. */
export function Why({ id }: { readonly id: string }) {
  const [action, setAction] = useState<Action>('receive')
  const [topic, setTopic] = useState('')
  const [said, say] = useState<{ answer: WhyAnswer } | { error: ApiError } | null>(null)
  const go = async (): Promise<void> => {
    try {
      say({ answer: await ask('why', { id, action, topic }) })
    } catch (error) {
      say({ error: asApiError(error) })
    }
  }
  return (
    <Card title="Why">
      <form
        class="why"
        onSubmit={event => {
          event.preventDefault()
          void go()
        }}
      >
        <label>
          <span class="hidden">Question</span>
          <select value={action} onChange={event => setAction(event.currentTarget.value as Action)}>
            {Object.entries(questions).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span class="hidden">Topic</span>
          <input
            class="mono"
            required
            placeholder={action === 'subscribe' ? 'plant/+/temperature' : 'plant/7/temperature'}
            value={topic}
            autocapitalize="off"
            spellcheck={false}
            onInput={event => setTopic(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button solid">
          Ask
        </button>
      </form>
      <div aria-live="polite">
        {said === null ? (
          <p class="about">Nothing is sent and nothing is changed to find out.</p>
        ) : 'error' in said ? (
          <Fault error={said.error} />
        ) : (
          <Answer {...said.answer} />
        )}
      </div>
    </Card>
  )
}

function Answer({ yes, verdict, rows, drops }: WhyAnswer) {
  return (
    <>
      <p class={`why-verdict ${yes ? 'good' : 'bad'}`}>
        <Icon name={yes ? 'check' : 'close'} />
        <span>{verdict}</span>
      </p>
      <ol class="why-rows">
        {rows.map(({ asked, says }) => (
          <li key={`${asked} ${says}`}>
            <span class="why-asked">{asked}</span>
            <span>{says}</span>
          </li>
        ))}
        {drops.map(({ at, reason, topic }, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: of several that are alike nothing else tells them apart.
          <li key={`${at} ${i}`}>
            <span class="why-asked">dropped</span>
            <span>
              {reason}, {ago(at)}: <span class="mono">{topic}</span>
            </span>
          </li>
        ))}
      </ol>
    </>
  )
}
