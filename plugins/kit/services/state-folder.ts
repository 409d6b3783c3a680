/** Where a broker keeps what is its own: the service `stateFolder`, of a plugin that keeps things on disk. */
export interface StateFolder {
  /** The folder's path; it exists once that plugin has started. */
  readonly path: string
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** The folder of what this broker keeps on disk: `disk` owns it. */
    stateFolder: StateFolder
  }
}
