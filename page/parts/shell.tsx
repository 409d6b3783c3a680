import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { leave } from '../api.ts'
import { useKnown } from '../context.ts'
import { many } from '../format.ts'
import { to } from '../route.ts'
import { keep } from '../session.ts'
import { chooseTheme, chosenTheme, type Theme } from '../theme.ts'
import { Icon, type IconName } from './icon.tsx'
import { Logo } from './logo.tsx'
import { Choice } from './text.tsx'

/** The views, as the navigation shows them. */
const places: readonly (readonly [view: string, text: string])[] = [
  ['overview', 'Overview'],
  ['alarms', 'Alarms'],
  ['clients', 'Clients'],
  ['subscriptions', 'Subscriptions'],
  ['retained', 'Retained'],
  ['tail', 'Live tail'],
  ['trace', 'Trace'],
  ['bans', 'Bans'],
  ['nodes', 'Nodes'],
  ['bridges', 'Bridges'],
  ['config', 'Config'],
  ['log', 'Log'],
]
// What a phone has room for below the view.
const onPhone = new Set(['overview', 'alarms', 'clients', 'tail'])

/** Navigation, and how the broker is, around every view. */
export function Shell({ view, left, children }: { readonly view: string; left(): void; readonly children: ComponentChildren }) {
  const [isOpen, open] = useState(false)
  const main = useRef<HTMLElement>(null)
  const sheet = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    open(false)
    main.current?.scrollTo(0, 0)
  }, [view])
  useEffect(() => {
    if (isOpen) sheet.current?.showModal()
    else sheet.current?.close()
  }, [isOpen])
  const out = (): void => {
    void leave().finally(() => {
      keep(null)
      left()
    })
  }
  const link = ([name, text]: (typeof places)[number], close?: () => void) => (
    <a key={name} href={to(name)} aria-current={name === view ? 'page' : undefined} onClick={close}>
      <Icon name={name as IconName} />
      <span>{text}</span>
      {name === 'alarms' && <Badge />}
    </a>
  )
  return (
    <div class="shell">
      <button type="button" class="button skip" onClick={() => main.current?.focus()}>
        To the content
      </button>
      <aside class="side">
        <Logo />
        <State />
        <nav aria-label="Views">{places.map(place => link(place))}</nav>
        <Visitor out={out} />
      </aside>
      <header class="top">
        <Logo />
        <State />
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
      <nav class="bottom" aria-label="Views, the main ones">
        {places.filter(([name]) => onPhone.has(name)).map(place => link(place))}
        <button type="button" aria-expanded={isOpen} aria-current={onPhone.has(view) ? undefined : 'page'} onClick={() => open(true)}>
          <Icon name="more" />
          <span>More</span>
        </button>
      </nav>
      <dialog class="sheet" ref={sheet} aria-label="More" onClose={() => sheet.current?.open === false && open(false)}>
        <nav aria-label="Other views">{places.filter(([name]) => !onPhone.has(name)).map(place => link(place, () => open(false)))}</nav>
        <Visitor out={out} />
        <button type="button" class="button" onClick={() => open(false)}>
          Close
        </button>
      </dialog>
    </div>
  )
}

/** How the broker is, in two words. */
function State() {
  const { status, alarms, error } = useKnown()
  const wrong = alarms?.length ?? 0
  const [kind, text] =
    error !== null
      ? (['bad', 'No answer'] as const)
      : status === null
        ? (['waiting', 'Asking…'] as const)
        : !status.serving
          ? (['bad', 'Not serving'] as const)
          : wrong > 0
            ? (['warn', many(wrong, 'alarm')] as const)
            : (['good', 'All is well'] as const)
  return (
    <a class={`state ${kind}`} href={to('alarms')}>
      <span class="state-dot" />
      <span>
        <span role="status">{text}</span>
        <small>{status?.node ?? ' '}</small>
      </span>
    </a>
  )
}

function Badge() {
  const { alarms } = useKnown()
  if (alarms === null || alarms.length === 0) return null
  return (
    <span class="badge">
      {alarms.length}
      <span class="hidden"> on</span>
    </span>
  )
}

function Visitor({ out }: { out(): void }) {
  const { me } = useKnown()
  const [theme, setTheme] = useState<Theme>(chosenTheme)
  return (
    <div class="visitor">
      <Choice
        label="Colours"
        options={[
          ['system', <Named icon="system" text="As the system" />],
          ['light', <Named icon="light" text="Light" />],
          ['dark', <Named icon="dark" text="Dark" />],
        ]}
        value={theme}
        change={wanted => {
          chooseTheme(wanted)
          setTheme(wanted)
        }}
      />
      <div class="who">
        <span class="cut">
          {me.name}
          <small>{me.role ?? 'admin'}</small>
        </span>
        <button type="button" class="bare" title="Sign out" onClick={out}>
          <Named icon="out" text="Sign out" />
        </button>
      </div>
    </div>
  )
}

function Named({ icon, text }: { readonly icon: IconName; readonly text: string }) {
  return (
    <>
      <Icon name={icon} size={16} />
      <span class="hidden">{text}</span>
    </>
  )
}
