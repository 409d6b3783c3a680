import type { ComponentChildren } from 'preact'
import { may, useKnown } from '../context.ts'
import { count } from '../format.ts'
import { Icon } from './icon.tsx'
import type { Stream } from './stream.ts'

/** How long, with what, and the button that starts it and stops it. */
export interface Watched {
  readonly span: string
  readonly payload: boolean
}

/** The form of a view that watches something pass; `children` say what. */
export function WatchForm({
  watched,
  change,
  isRunning,
  start,
  stop,
  children,
}: {
  readonly watched: Watched
  change(watched: Watched): void
  readonly isRunning: boolean
  start(given: Record<string, string>): void
  stop(): void
  readonly children: ComponentChildren
}) {
  const { me } = useKnown()
  const { span, payload } = watched
  return (
    <form
      class="filters"
      onSubmit={event => {
        event.preventDefault()
        if (isRunning) stop()
        else start({ for: span, limit: '100000', ...(payload ? { payload: 'true' } : {}) })
      }}
    >
      {children}
      <label class="sort">
        <span>For</span>
        <select value={span} disabled={isRunning} onChange={event => change({ span: event.currentTarget.value, payload })}>
          <option value="60s">1 minute</option>
          <option value="10m">10 minutes</option>
          <option value="1h">1 hour</option>
        </select>
      </label>
      {may(me, 'admin') && (
        <label class="tick">
          <input
            type="checkbox"
            checked={payload}
            disabled={isRunning}
            onChange={event => change({ span, payload: event.currentTarget.checked })}
          />{' '}
          Payloads
        </label>
      )}
      <button type="submit" class={isRunning ? 'button' : 'button solid'}>
        <Icon name={isRunning ? 'stop' : 'play'} size={16} />
        {isRunning ? 'Stop' : 'Start'}
      </button>
    </form>
  )
}

/** What is watched: a text that has to be given. */
export function WatchedText({
  label,
  value,
  change,
  isRunning,
}: {
  readonly label: string
  readonly value: string
  change(value: string): void
  readonly isRunning: boolean
}) {
  return (
    <label class="search">
      <Icon name="search" />
      <input
        class="mono"
        aria-label={label}
        required
        value={value}
        disabled={isRunning}
        autocapitalize="off"
        spellcheck={false}
        onInput={event => change(event.currentTarget.value)}
      />
    </label>
  )
}

/** How much has passed, and whether more will. */
export function WatchedFoot({ seen, isRunning }: Pick<Stream<object>, 'seen' | 'isRunning'>) {
  return (
    <span aria-live="polite">
      {count(seen.passed)} passed{seen.dropped > 0 && `, ${count(seen.dropped)} not shown`}
      {isRunning ? '' : '; stopped'}
    </span>
  )
}
