import { OperatorError } from '../../core/errors.ts'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Admission, Refusal } from '../../core/refusals.ts'
import { Limiter } from '../kit/limiter.ts'
import { authFileManifest } from './manifest.ts'
import { isUserPassword } from './user-hash.ts'
import { Users } from './users.ts'

const busy: Refusal = { reasonCode: ReasonCode.ServerBusy, reasonString: 'too many passwords wait to be checked', blameless: true }

/** Lets in whose user name and password stand in a file. */
export const authFile = definePlugin(authFileManifest, (context, options) => {
  const { hooks, broker, clock, revoke } = context
  const { path, listeners, unknownUsers, refuseAs, badLines, checkFileEvery, closeChanged, concurrent, waiting } = options
  // The same words whatever was wrong, so that nobody learns which names there are.
  const reasonCode = refuseAs === 'notAuthorized' ? ReasonCode.NotAuthorized : ReasonCode.BadUserNameOrPassword
  const refused: Refusal = { reasonCode, reasonString: 'bad user name or password' }
  const files = new Map<string, Users>()
  const everywhere = path === null ? null : usersOf('authFile.path', path, null)
  const byListener = new Map(Object.entries(listeners).map(([name, file]) => [name, usersOf(`authFile.listeners.${name}`, file, name)]))
  if (files.size === 0) {
    throw new OperatorError(
      'ERR_CONFIG',
      "authFile.path: required; name a file, as in authFile: { path: 'users' }, which npx mqttx-broker passwd users NAME writes",
    )
  }
  const waitMs = Math.floor(broker.settings.mqtt.verdictTimeout / 2)
  const limiter = new Limiter({ clock, concurrent, waiting, waitMs })

  hooks.onAuthenticate.tapPromise('authFile', async (client, connect): Promise<Admission | Refusal | undefined> => {
    const { username, password } = connect
    const users = byListener.get(client.transport.listener) ?? everywhere
    if (username === undefined || users === null) return undefined
    const hash = users.hashOf(username)
    if (hash === undefined && unknownUsers === 'pass') return undefined
    // An empty password is none: no command makes one.
    if (password === undefined || password.length === 0) return refused
    if (users.isProven(username, password)) return {}
    if (!(await limiter.enter())) return busy
    let right: boolean
    try {
      // Whoever has gone meanwhile costs nothing.
      if (client.closed) return busy
      right = await isUserPassword(password, hash ?? users.decoy)
    } finally {
      limiter.leave()
    }
    // The file may have changed meanwhile: what it says now counts.
    if (!right || hash === undefined || users.hashOf(username) !== hash) return refused
    users.prove(username, password)
    return {}
  })

  /** The users of a file; of one that several listeners name, there is one. */
  function usersOf(option: string, file: string, listener: string | null): Users {
    const known = files.get(file)
    if (known !== undefined) return known
    const users = new Users(context, {
      option,
      path: file,
      everyMs: checkFileEvery,
      skipsBadLines: badLines === 'skip',
      changed(user, gone) {
        if (!gone && !closeChanged) return 0
        // Another file may know the name, at another listener.
        if (listener !== null || byListener.size > 0) return closeAt(users, user)
        return gone ? revoke({ username: user }) : revoke({ username: user }, { keepSession: true })
      },
    })
    files.set(file, users)
    return users
  }

  function closeAt(users: Users, user: string): number {
    let closed = 0
    for (const client of [...broker.clients]) {
      if (client.username !== user || (byListener.get(client.transport.listener) ?? everywhere) !== users) continue
      client.close(ReasonCode.NotAuthorized, 'the password file has changed')
      closed += 1
    }
    return closed
  }

  const each = async (act: (users: Users) => unknown): Promise<void> => {
    for (const users of files.values()) await act(users)
  }
  return {
    verify: () => each(users => users.verify()),
    start: () => each(users => users.start()),
    reread: () => each(users => users.reread()),
    stop: () => each(users => users.stop()),
  }
})
