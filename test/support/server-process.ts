import type { ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'

/** A server in a process of its own, with a folder that is its own too. */
export abstract class ServerProcess {
  readonly folder: string
  protected child: ChildProcess | null = null

  protected constructor(folder: string) {
    this.folder = folder
  }

  /** While it runs. */
  get pid(): number {
    return this.child!.pid!
  }

  /** It hangs: connections stay, nothing is answered. */
  freeze(): void {
    this.child!.kill('SIGSTOP')
  }

  thaw(): void {
    this.child!.kill('SIGCONT')
  }

  /** Dies at once; its folder stays. */
  async kill(): Promise<void> {
    const { child } = this
    this.child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  /** Dies, and its folder goes too. */
  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
