import { useState } from 'preact/hooks'
import { type ApiError, ask } from '../api.ts'
import { asApiError } from '../live.ts'
import { Logo } from '../parts/logo.tsx'
import { Fault } from '../parts/text.tsx'
import { keep } from '../session.ts'

/** Asks for a token. */
export function Login({ error, entered }: { readonly error: ApiError | null; entered(): void }) {
  const [text, setText] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [wrong, setWrong] = useState(error)
  const go = async (): Promise<void> => {
    setBusy(true)
    keep(text.trim())
    try {
      await ask('whoami')
      entered()
    } catch (thrown) {
      keep(null)
      setWrong(asApiError(thrown))
      setBusy(false)
    }
  }
  return (
    <main class="login">
      <form
        class="card"
        onSubmit={event => {
          event.preventDefault()
          void go()
        }}
      >
        <Logo />
        <h1>Sign in</h1>
        <p class="about">With a token of this broker. It is kept until this tab is closed.</p>
        <Fault error={wrong} />
        <label class="field">
          <span>Token</span>
          <input
            type="password"
            required
            class="mono"
            placeholder="NAME.SECRET"
            autocomplete="current-password"
            value={text}
            onInput={event => setText(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button solid" disabled={isBusy}>
          {isBusy ? 'Asking…' : 'Sign in'}
        </button>
        <div class="login-help">
          <p>None at hand? In the broker's folder, either of</p>
          <pre>npx mqttx-broker page</pre>
          <pre>npx mqttx-broker token tokens NAME --role read</pre>
        </div>
      </form>
    </main>
  )
}
