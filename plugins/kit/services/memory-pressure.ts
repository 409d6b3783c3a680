/** Whether the broker is short of memory: the service `memoryPressure`, where a plugin watches that. */
export interface MemoryPressure {
  /** Publishers are slowed, at least. Whoever has work that can wait lets it wait. */
  readonly slows: boolean
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** Whether the broker is short of memory. */
    memoryPressure: MemoryPressure
  }
}
