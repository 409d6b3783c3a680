/** Called when something is done, or could not be. */
export type Done = (error?: Error | null) => void
