/** The service `outage`: what becomes of clients while the session store does not answer. Whoever decides it provides it, as `cluster` does. */
export interface OutageService {
  /** Clients whose sessions end with their connection are served then; false: nobody is. */
  readonly servesClean: boolean
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** What becomes of clients while the session store does not answer; where nobody provides it, clean sessions are served. */
    outage: OutageService
  }
}
