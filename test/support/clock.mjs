// A machine of its own for one process, by `node --import`: what its clocks say.
//   CLOCK_SHIFT_MS   how far its wall clock is ahead of the real one when the process begins; negative: behind
//   CLOCK_STEP_MS    by how much the wall clock is set at SIGUSR2
//   CLOCK_BOOT       the name of this start of the machine, in place of the kernel's
//   CLOCK_UPTIME_S   with CLOCK_BOOT: seconds since then when the process began
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'

const { CLOCK_SHIFT_MS = '0', CLOCK_STEP_MS = '0', CLOCK_BOOT, CLOCK_UPTIME_S = '0' } = process.env
let shift = Number(CLOCK_SHIFT_MS)

Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + shift })
const real = Date.now
Date.now = () => real() + shift
globalThis.Date = new Proxy(Date, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [target.now()] : args, newTarget),
})
process.on('SIGUSR2', () => {
  shift += Number(CLOCK_STEP_MS)
})

if (CLOCK_BOOT !== undefined) {
  const { readFileSync } = fs
  fs.readFileSync = (path, ...rest) => (path === '/proc/sys/kernel/random/boot_id' ? `${CLOCK_BOOT}\n` : readFileSync(path, ...rest))
  os.uptime = () => Number(CLOCK_UPTIME_S) + performance.now() / 1000
  syncBuiltinESMExports()
}
