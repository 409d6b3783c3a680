/** Lets everything that is on its way in memory arrive: streams, immediates and promises take turns a few times. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
}
