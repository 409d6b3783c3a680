import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { WorkerPlace } from '../../core/worker-place.ts'

const name = /^workers-([1-9]\d*)$/

/** Where a worker keeps its part, in the folder of its broker: the number of workers is in the name, because whose session lies where depends on it. */
export function partPath(folder: string, place: WorkerPlace): string {
  return join(folder, partFolder(place))
}

/** The folder of a worker's part, below that of its broker. */
export function partFolder({ number, count }: WorkerPlace): string {
  return `workers-${count}/${number}`
}

/** A text is the folder of a part. */
export function isPartFolder(text: string): boolean {
  const [folder = '', number = '', ...more] = text.split('/')
  const count = Number(name.exec(folder)?.[1])
  return more.length === 0 && /^[1-9]\d*$/.test(number) && Number(number) <= count
}

/** Where so many workers keep theirs, the folder itself where there is one process. */
export function partPaths(folder: string, count: number): string[] {
  return count === 1 ? [folder] : Array.from({ length: count }, (_, i) => partPath(folder, { number: i + 1, count }))
}

/** For how many workers something lies in a folder; 1: for a broker of one process. None: nothing is there yet. */
export function workersOf(folder: string): number[] {
  const found = existsSync(join(folder, 'data.mdb')) ? [1] : []
  if (!existsSync(folder)) return found
  for (const entry of readdirSync(folder)) {
    const [, count] = name.exec(entry) ?? []
    if (count !== undefined && existsSync(join(folder, entry, '1', 'data.mdb'))) found.push(Number(count))
  }
  return found
}

/** Throws an `OperatorError` where what `disk` keeps in a folder is another number of workers'. */
export function checkWorkers(folder: string, count: number): void {
  const to = count === 1 ? `disk:${folder}-1` : `'disk:${folder}-${count}?workers=${count}'`
  refuseOther(
    'disk',
    folder,
    count,
    `or stop it and move what is there: npx mqttx-broker migrate --from disk:${folder} --to ${to}, then name that folder`,
  )
}

/** The same for `diskQueue`, whose queues cannot be moved: what waits in them has to leave first. */
export function checkQueueWorkers(folder: string, count: number): void {
  refuseOther('diskQueue', folder, count, 'let its queues run empty, stop it and remove that folder, or name another one')
}

function refuseOther(plugin: string, folder: string, count: number, cure: string): void {
  const other = workersOf(folder).find(found => found !== count)
  if (other === undefined) return
  throw new OperatorError(
    'ERR_DISK_WORKERS',
    `${plugin}.path: ${folder} is that of a broker with workers: ${other}, and this one has ${count}; start it with workers=${other}, ${cure}`,
  )
}
