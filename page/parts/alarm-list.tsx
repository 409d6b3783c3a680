import type { AlarmRow } from '../../plugins/kit/verbs/answers.ts'
import { duration, time } from '../format.ts'
import { Icon } from './icon.tsx'

/** The alarms that are on, the oldest first. */
export function AlarmList({ alarms }: { readonly alarms: readonly AlarmRow[] }) {
  return (
    <ul class="alarm-list">
      {alarms.map(({ name, text, since, node }) => (
        <li key={`${node} ${name}`}>
          <span class="alarm-mark">
            <Icon name="warning" />
          </span>
          <div>
            <p class="alarm-text">{text}</p>
            <p class="about">
              <span class="mono">{name}</span> at {node}, since {time(since)}
              {Date.now() - since > 1000 && `, for ${duration(Date.now() - since)}`}
            </p>
          </div>
        </li>
      ))}
    </ul>
  )
}
