import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { pinned } from '../pin.ts'
import type { Answer, LoadResult, Order, Workload } from './workload.ts'

/** A load that runs in a process of its own, so that what it costs is not the broker's. */
export class LoadProcess {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Starts the process and opens the workload's connections. */
  static async open(port: number, workload: Workload): Promise<LoadProcess> {
    const worker = path.join(path.dirname(fileURLToPath(import.meta.url)), 'worker.ts')
    const [command, ...args] = pinned('load', [process.execPath, '--import', 'jiti/register', worker])
    const child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    const load = new LoadProcess(child)
    await load.#ask({ port, workload })
    return load
  }

  async run(messages: number): Promise<LoadResult> {
    const answer = await this.#ask({ go: messages })
    if (!('result' in answer)) throw new Error('the load process answered out of turn')
    return answer.result
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }

  #ask(order: Order): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const child = this.#child
      const ended = (code: number | null): void => reject(new Error(`the load process ended with ${code}`))
      child.once('exit', ended)
      child.once('message', (answer: Answer) => {
        child.off('exit', ended)
        if ('failed' in answer) reject(new Error(answer.failed))
        else resolve(answer)
      })
      child.send(order)
    })
  }
}
