/** The same function, of which only the first call counts: a handler that answers twice has answered. */
export function once<Args extends unknown[]>(callback: (...args: Args) => void): (...args: Args) => void {
  let called = false
  return (...args) => {
    if (called) return
    called = true
    callback(...args)
  }
}
