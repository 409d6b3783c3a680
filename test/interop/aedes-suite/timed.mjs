// node:test, whose tests end after a while: aedes' own wait for ever where what they wait for does not come.
import { test as untimed } from 'node:test'

const timeout = 10_000
export const test = (name, ...rest) => {
  const [options, fn] = rest.length === 1 ? [{}, rest[0]] : rest
  return untimed(name, { timeout, ...options }, fn)
}
