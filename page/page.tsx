import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { WhoamiAnswer } from '../plugins/admin/answers.ts'
import { ApiError, ask, learnVerbs, onRefused } from './api.ts'
import { KnownContext } from './context.ts'
import { asApiError, useAsked } from './live.ts'
import { Shell } from './parts/shell.tsx'
import { type Route, useRoute } from './route.ts'
import { begin, keep } from './session.ts'
import { Alarms } from './views/alarms.tsx'
import { Bans } from './views/bans.tsx'
import { Bridges } from './views/bridges.tsx'
import { ClientView } from './views/client.tsx'
import { Clients } from './views/clients.tsx'
import { Config } from './views/config.tsx'
import { Log } from './views/log.tsx'
import { Login } from './views/login.tsx'
import { Nodes } from './views/nodes.tsx'
import { Overview } from './views/overview.tsx'
import { Retained } from './views/retained.tsx'
import { Subscriptions } from './views/subscriptions.tsx'
import { Tail } from './views/tail.tsx'
import { Trace } from './views/trace.tsx'

const lookMs = 3000

function Page({ first, hasToken }: { readonly first: ApiError | null; readonly hasToken: boolean }) {
  const [me, setMe] = useState<WhoamiAnswer | null>(null)
  const [error, setError] = useState(first)
  const [isAsking, setAsking] = useState(hasToken)
  const enter = async (): Promise<void> => {
    try {
      const known = await ask('whoami')
      await learnVerbs(known.role)
      setMe(known)
    } catch (thrown) {
      setError(asApiError(thrown))
      keep(null)
    }
    setAsking(false)
  }
  useEffect(() => {
    onRefused(() => {
      keep(null)
      setError(new ApiError(401, 'ERR_ADMIN_TOKEN', 'The broker no longer takes this token.'))
      setMe(null)
    })
    if (isAsking) void enter()
  }, [])
  if (isAsking) return <p class="noscript">Asking the broker…</p>
  if (me === null) return <Login error={error} entered={() => void enter()} />
  return <Inside me={me} left={() => setMe(null)} />
}

function Inside({ me, left }: { readonly me: WhoamiAnswer; left(): void }) {
  const route = useRoute()
  const status = useAsked('status', {}, lookMs)
  const alarms = useAsked('alarms', {}, lookMs)
  useEffect(() => {
    document.title = `${route.view === 'clients' && route.of !== null ? route.of : titleOf(route.view)}, mqttx-broker`
  }, [route.view, route.of])
  return (
    <KnownContext.Provider value={{ me, status: status.answer, alarms: alarms.answer?.rows ?? null, error: status.error }}>
      <Shell view={route.view} left={left}>
        <View {...route} />
      </Shell>
    </KnownContext.Provider>
  )
}

function View({ view, of }: Route) {
  switch (view) {
    case 'alarms':
      return <Alarms />
    case 'clients':
      return of === null ? <Clients /> : <ClientView key={of} id={of} />
    case 'subscriptions':
      return <Subscriptions />
    case 'retained':
      return <Retained />
    case 'tail':
      return <Tail />
    case 'trace':
      return <Trace key={of} id={of} />
    case 'bans':
      return <Bans key={of} id={of} />
    case 'nodes':
      return <Nodes />
    case 'bridges':
      return <Bridges />
    case 'config':
      return <Config />
    case 'log':
      return <Log />
    default:
      return <Overview />
  }
}

function titleOf(view: string): string {
  return view.charAt(0).toUpperCase() + view.slice(1)
}

const place = document.getElementById('page')!
begin().then(
  token => render(<Page first={null} hasToken={token !== null} />, place),
  error => render(<Page first={asApiError(error)} hasToken={false} />, place),
)
