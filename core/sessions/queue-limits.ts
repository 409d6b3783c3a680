import type { Settings } from '../options/settings.ts'
import type { QueueLimits } from './session-store.ts'

/** How much may wait for one session, and what happens when that is full: disconnecting is the broker's own affair, the store drops. */
export function queueLimitsOf({ mqtt }: Settings): QueueLimits {
  const { queueMessagesMax, queueBytesMax, queueFull } = mqtt
  return { messagesMax: queueMessagesMax, bytesMax: queueBytesMax, whenFull: queueFull === 'dropOldest' ? 'dropOldest' : 'dropNewest' }
}
