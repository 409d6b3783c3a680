import { unlink } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import { definePlugin } from '../../core/plugin.ts'
import type {} from '../kit/services/state-folder.ts'
import { AlarmWatch } from './alarm-watch.ts'
import { addCopying } from './copying.ts'
import { HttpPort } from './http-port.ts'
import { adminManifest } from './manifest.ts'
import { addPageVerbs } from './page-verbs.ts'
import { Rates } from './rates.ts'
import { Recent } from './recent.ts'
import { Record as ActsRecord } from './record.ts'
import { answerRequest } from './requests.ts'
import { listenAtPath, listenIn, socketFolder } from './socket-place.ts'
import { Watching } from './watching.ts'

// Whoever is at the command line asks one thing at a time.
const connectionsMax = 50

/** Answers the command line over a Unix socket that only the broker's own user can open, and remembers who did what. */
export const admin = definePlugin(adminManifest, (context, { socket, optional, page, http, payloads, alarmsEvery, recent }) => {
  const { broker, hooks, services, clock, log, worker } = context
  // Each worker answers for itself what is asked of all; one of them is asked.
  const isAsked = worker === null || worker.number === 1
  const port = !isAsked || (http.port === null && !page) ? null : new HttpPort(context, http, page)
  const alarmWatch = new AlarmWatch(context)
  const watching = new Watching(context, payloads)
  new Recent(context, recent)
  addCopying(broker, payloads)
  const record = new ActsRecord(broker, clock)
  record.tap(hooks, log)
  const rates = new Rates(broker, clock)
  addPageVerbs(broker, port)
  let server: Server | undefined
  let path: string | undefined

  const open = async (): Promise<string> => {
    const created = createServer((request, response) => {
      // Whoever can open the socket is the broker's own user, or root; the name is for the log.
      const name = String(request.headers['x-actor'] ?? 'socket').slice(0, 100)
      void answerRequest(broker, { actor: { name, via: 'socket', role: 'admin' }, role: 'admin' }, request, response)
    })
    created.maxConnections = connectionsMax
    // An import takes as long as it takes.
    created.requestTimeout = 0
    created.on('clientError', (_error, connection) => connection.destroy())
    const folder = socketFolder(broker.folder, services.find('stateFolder')?.path, process.env.RUNTIME_DIRECTORY)
    const at = typeof socket === 'string' ? await listenAtPath(created, resolve(broker.folder, socket)) : await listenIn(created, folder)
    created.on('error', error => broker.report(error))
    server = created
    return at
  }

  const listenAtSocket = async (): Promise<string[]> => {
    if (socket === false || !isAsked) return []
    try {
      path = await open()
    } catch (error) {
      if (!optional || typeof socket === 'string' || !(error instanceof OperatorError)) throw error
      log.warn(`no admin socket, so the command line cannot ask this broker: ${error.message}`)
      return []
    }
    return [`admin socket at ${path}`]
  }

  return {
    verify: () => port?.verify(),
    start() {
      alarmWatch.start(alarmsEvery)
      rates.start()
    },
    async listen() {
      const lines = await listenAtSocket()
      return port === null ? lines : [...lines, await port.listen()]
    },
    reread: () => port?.reread(),
    async stop() {
      alarmWatch.stop()
      rates.stop()
      watching.stop()
      record.stop()
      await port?.stop()
      server?.closeAllConnections()
      await new Promise<void>(done => (server === undefined ? done() : server.close(() => done())))
      // Node removes it where the path that it was given still leads there.
      if (path !== undefined) await unlink(path).catch(() => {})
    },
  }
})
