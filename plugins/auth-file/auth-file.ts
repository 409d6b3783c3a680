import { createHmac, timingSafeEqual } from 'node:crypto'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Admission, Refusal } from '../../core/refusals.ts'
import { Limiter } from '../kit/limiter.ts'
import { decoyHash, isPassword, isSameHash, type PasswordHash } from '../kit/password-hash.ts'
import { WatchedFile } from '../kit/watched-file.ts'
import { authFileManifest } from './manifest.ts'
import { parsePasswordFile } from './password-file.ts'

// The same words whatever was wrong, so that nobody learns which names there are.
const refused: Refusal = { reasonCode: ReasonCode.BadUserNameOrPassword, reasonString: 'bad user name or password' }
const busy: Refusal = { reasonCode: ReasonCode.ServerBusy, reasonString: 'too many passwords wait to be checked', blameless: true }

/** Lets in whose user name and password stand in a file. */
export const authFile = definePlugin(
  authFileManifest,
  ({ hooks, broker, clock, log, revoke }, { path, unknownUsers, checkFileEvery, closeChanged, concurrent, waiting }) => {
    let users = new Map<string, PasswordHash>()
    let started = false
    // What was right before, so that a fleet that comes back pays for scrypt once: keyed with what this process alone knows.
    const secret = clock.random(32)
    const proven = new Map<string, Buffer>()
    const decoy = decoyHash()
    const waitMs = Math.floor(broker.settings.mqtt.verdictTimeout / 2)
    const limiter = new Limiter({ clock, concurrent, waiting, waitMs })
    const file = new WatchedFile({
      option: 'authFile.path',
      path,
      folder: broker.folder,
      clock,
      everyMs: checkFileEvery,
      apply(text, at) {
        const before = users
        users = parsePasswordFile(text, at)
        proven.clear()
        if (!started) return
        let closed = 0
        for (const [user, hash] of before) {
          const now = users.get(user)
          if (now === undefined) closed += revoke({ username: user })
          else if (closeChanged && !isSameHash(now, hash)) closed += revoke({ username: user }, { keepSession: true })
        }
        log.info({ path: at, users: users.size, closed }, 'password file read again')
      },
      failed: error => log.error({ err: error }, `the password file has changed and is not taken up: ${error.message}`),
    })

    hooks.onAuthenticate.tapPromise('authFile', async (client, connect): Promise<Admission | Refusal | undefined> => {
      const { username, password } = connect
      if (username === undefined) return undefined
      const hash = users.get(username)
      if (hash === undefined && unknownUsers === 'pass') return undefined
      if (password === undefined) return refused
      const proof = createHmac('sha256', secret).update(`${username.length}:${username}`).update(password).digest()
      const known = proven.get(username)
      if (known !== undefined && timingSafeEqual(known, proof)) return {}
      if (!(await limiter.enter())) return busy
      let right: boolean
      try {
        // Whoever has gone meanwhile costs nothing.
        if (client.closed) return busy
        right = await isPassword(password, hash ?? decoy)
      } finally {
        limiter.leave()
      }
      // The file may have changed meanwhile: what it says now counts.
      if (!right || hash === undefined || users.get(username) !== hash) return refused
      proven.set(username, proof)
      return {}
    })

    return {
      verify: () => file.verify(),
      async start() {
        await file.start()
        started = true
      },
      reread: () => file.reread(),
      stop: () => file.stop(),
    }
  },
)
