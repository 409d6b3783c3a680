/** Which of the processes that are one broker this one is: see the option `workers`. */
export interface WorkerPlace {
  /** From 1 to `count`. A process that takes the place of one that has died has its number. */
  readonly number: number
  /** How many workers the broker has. */
  readonly count: number
}
