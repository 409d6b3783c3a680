import type { ComponentChildren } from 'preact'
import type { ApiError } from '../api.ts'
import { to } from '../route.ts'
import { Icon } from './icon.tsx'

/** The head of a view. */
export function Head({
  title,
  about,
  children,
}: {
  readonly title: string
  readonly about?: ComponentChildren
  readonly children?: ComponentChildren
}) {
  return (
    <header class="head">
      <div>
        <h1 tabIndex={-1}>{title}</h1>
        {about !== undefined && <p class="about">{about}</p>}
      </div>
      {children !== undefined && <div class="tools">{children}</div>}
    </header>
  )
}

/** What is wrong, where an answer would stand. */
export function Fault({ error }: { readonly error: ApiError | null }) {
  if (error === null) return null
  const text = error.code === 'ERR_ADMIN_ROLE' ? `Your token may not see this. ${error.message}` : error.message
  return (
    <p class="fault" role="alert">
      <Icon name="warning" />
      <span>{text}</span>
    </p>
  )
}

/** Nodes that have not answered. */
export function Missing({ nodes }: { readonly nodes: readonly { readonly node: string; readonly why: string }[] | undefined }) {
  if (nodes === undefined || nodes.length === 0) return null
  return (
    <p class="fault" role="alert">
      <Icon name="warning" />
      <span>Without an answer: {nodes.map(({ node, why }) => `${node} (${why})`).join(', ')}</span>
    </p>
  )
}

/** That there is nothing, and what that means. */
export function Empty({ title, children }: { readonly title: string; readonly children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children !== undefined && <p>{children}</p>}
    </div>
  )
}

/** A word in a coloured frame. */
export function Chip({
  kind = 'plain',
  children,
}: {
  readonly kind?: 'plain' | 'good' | 'warn' | 'bad'
  readonly children: ComponentChildren
}) {
  return <span class={`chip ${kind}`}>{children}</span>
}

/** Something with a title, on its own ground. */
export function Card({
  title,
  aside,
  children,
  flush = false,
}: {
  readonly title?: string
  readonly aside?: ComponentChildren
  readonly children: ComponentChildren
  /** The content reaches the edges: a table. */
  readonly flush?: boolean
}) {
  return (
    <section class={flush ? 'card flush' : 'card'} aria-label={title}>
      {title !== undefined && (
        <div class="card-head">
          <h2>{title}</h2>
          {aside}
        </div>
      )}
      {children}
    </section>
  )
}

/** Names and values, side by side. */
export function Facts({ rows }: { readonly rows: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** A table that scrolls sideways by itself where it is too wide. */
export function Table({
  label,
  columns,
  isStacked = false,
  children,
}: {
  readonly label: string
  readonly columns: readonly (string | readonly [name: string, kind: 'number'])[]
  /** On a phone a row has two lines: the first column, and the rest. */
  readonly isStacked?: boolean
  readonly children: ComponentChildren
}) {
  return (
    <div class={isStacked ? 'scroll stack' : 'scroll'} role="group" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map(column => (
              <th key={String(column)} scope="col" class={typeof column === 'string' ? undefined : 'number'}>
                {typeof column === 'string' ? column : column[0]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}

/** A choice of few. */
export function Choice<T extends string>({
  label,
  options,
  value,
  change,
}: {
  readonly label: string
  readonly options: readonly (readonly [value: T, text: ComponentChildren])[]
  readonly value: T
  change(value: T): void
}) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(([option, text]) => (
        <button key={option} type="button" aria-pressed={option === value} onClick={() => change(option)}>
          {text}
        </button>
      ))}
    </div>
  )
}

/** A field for a search. */
export function Search({ label, value, change }: { readonly label: string; readonly value: string; change(value: string): void }) {
  return (
    <label class="search">
      <Icon name="search" />
      <input
        type="search"
        aria-label={label}
        placeholder={label}
        value={value}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        onInput={event => change(event.currentTarget.value)}
      />
    </label>
  )
}

/** Who has published something: a client, or the broker itself. */
export function Publisher({ from }: { readonly from: string }) {
  if (from === '') return <>the broker</>
  return (
    <a class="mono" href={to('clients', from)}>
      {from}
    </a>
  )
}
