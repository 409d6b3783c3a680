/**
 * Waits until something is true that no event of this process tells of, such as what another node has learned by way of Redis. It asks
 * again and again; the test's own timeout ends a wait that is in vain.
 */
export async function eventually(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise(resolve => setTimeout(resolve, 5))
}
