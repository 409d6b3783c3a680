import { spawn } from 'node:child_process'
import type { Log } from '../../core/log.ts'

// It waits for systemd to have read what it says.
const toldMs = 10_000

/**
 * Tells systemd what the broker is doing, where it asks to be told (`Type=notify`, which sets `$NOTIFY_SOCKET`): that it serves clients, that it stops. The socket takes datagrams, which
 * Node cannot send by a Unix socket without a native package, so systemd's own command says it; it is there wherever systemd is. As that is a process of
 * its own the unit needs `NotifyAccess=all`. Resolves when it has been said; never rejects, for a broker that serves its clients is worth more than the news of it.
 */
export function tellServiceManager(what: 'ready' | 'stopping', log: Log, env = process.env): Promise<void> {
  if (env.NOTIFY_SOCKET === undefined) return Promise.resolve()
  return new Promise(resolve => {
    const failed = (text: string): void => {
      log.warn(
        `systemd-notify: ${text}, so systemd does not know that the broker is ${what}; install systemd's tools, or use Type=exec in the unit`,
      )
      resolve()
    }
    const child = spawn('systemd-notify', [what === 'ready' ? 'READY=1' : 'STOPPING=1'], { stdio: 'ignore', timeout: toldMs, env })
    child.on('error', ({ message }) => failed(message))
    child.on('exit', (code, signal) => (code === 0 ? resolve() : failed(`it ended with ${code ?? signal}`)))
  })
}
