import type { IncomingMessage, ServerResponse } from 'node:http'

/** Answers one request. What it throws is a 500 for the client and a line in the log. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

/**
 * HTTP beside WebSocket, on the same ports: a health check, metrics, a page. Whoever can reach the port can ask, for no client has
 * been authenticated here; a handler that must not answer everybody looks at the request first.
 */
export class HttpRoutes {
  readonly #handlers = new Map<string, HttpHandler>()

  /** Serves a path, `/health`, or all that lies below one that ends with a slash, `/admin/`. Returns what takes it away again. */
  handle(path: string, handler: HttpHandler): () => void {
    if (!path.startsWith('/')) throw new TypeError(`http: a path begins with /, got ${JSON.stringify(path)}`)
    if (this.#handlers.has(path)) throw new TypeError(`http: ${path} is served already; choose another path`)
    this.#handlers.set(path, handler)
    return () => {
      if (this.#handlers.get(path) === handler) this.#handlers.delete(path)
    }
  }

  /** Some plugin serves something. */
  get used(): boolean {
    return this.#handlers.size > 0
  }

  /** Who serves a path: the exact one, else the longest above it. */
  find(path: string): HttpHandler | undefined {
    const exact = this.#handlers.get(path)
    if (exact !== undefined) return exact
    for (let at = path.lastIndexOf('/'); at >= 0; at = at === 0 ? -1 : path.lastIndexOf('/', at - 1)) {
      const above = this.#handlers.get(path.slice(0, at + 1))
      if (above !== undefined) return above
    }
    return undefined
  }
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** HTTP beside WebSocket, on the same ports. */
    http: HttpRoutes
  }
}
