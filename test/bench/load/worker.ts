import { Load } from './load.ts'
import type { Answer, Order } from './workload.ts'

/** A load process: connects when it is told the workload, runs it as often as it hears `go`, and ends with its parent. */

let load: Load | undefined

function answer(message: Answer): void {
  process.send!(message)
}

process.on('message', async (order: Order) => {
  try {
    if ('go' in order) {
      answer({ result: await load!.run(order.go) })
    } else {
      load = new Load(order.port, order.workload)
      await load.open()
      answer({ ready: true })
    }
  } catch (error) {
    answer({ failed: error instanceof Error ? error.message : String(error) })
  }
})
process.on('disconnect', () => process.exit(0))
