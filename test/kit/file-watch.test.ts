import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Timer } from '../../core/time/clock.ts'
import { stampOf } from '../../plugins/kit/file-stamp.ts'
import { FileWatch } from '../../plugins/kit/file-watch.ts'
import { WatchedFile } from '../../plugins/kit/watched-file.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mqttx-watch-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Knows the paces of the timers that run. */
class CountingClock extends ManualClock {
  paces: number[] = []

  override every(ms: number, callback: () => void): Timer {
    const timer = super.every(ms, callback)
    this.paces.push(ms)
    return {
      cancel: () => {
        timer.cancel()
        this.paces = []
      },
    }
  }
}

async function watchOver(...paths: string[]) {
  let told = 0
  const watch = new FileWatch(new ManualClock(), async () => {
    told += 1
  })
  watch.saw(await Promise.all(paths.map(async path => ({ path, stamp: await stampOf(path) }))))
  const look = async () => {
    const before = told
    await watch.look()
    return told - before
  }
  return { watch, look }
}

test('tells once of each change: new content, a file that goes or comes, a link two folders away that points elsewhere', async () => {
  const [file, late] = [join(folder, 'file'), join(folder, 'late')]
  await writeFile(file, 'a')
  // As Kubernetes mounts a secret: tls.key -> ..data/tls.key, ..data -> a folder of its own for each version.
  for (const version of ['1', '2']) {
    await mkdir(join(folder, version))
    await writeFile(join(folder, version, 'key'), 'same length')
  }
  await symlink('1', join(folder, 'data'))
  const linked = join(folder, 'linked')
  await symlink(join('data', 'key'), linked)
  const { look } = await watchOver(file, late, linked)
  expect(await look()).toBe(0)
  await writeFile(file, 'longer')
  expect([await look(), await look()]).toEqual([1, 0])
  await writeFile(late, '')
  expect([await look(), await look()]).toEqual([1, 0])
  await unlink(late)
  expect([await look(), await look()]).toEqual([1, 0])
  await symlink('2', join(folder, 'data.new'))
  await rename(join(folder, 'data.new'), join(folder, 'data'))
  expect([await look(), await look()]).toEqual([1, 0])
})

test('what was read meanwhile by somebody else is not told', async () => {
  const file = join(folder, 'file')
  await writeFile(file, 'a')
  const { watch, look } = await watchOver(file)
  await writeFile(file, 'other')
  const stamp = await stampOf(file)
  const looking = look()
  watch.saw([{ path: file, stamp }])
  expect([await looking, await look()]).toEqual([0, 0])
})

test('looks at its pace, and no longer once it is stopped', async () => {
  const clock = new CountingClock()
  const file = join(folder, 'file')
  await writeFile(file, 'first')
  let tell: (text: string) => void = () => {}
  const heard = () => new Promise<string>(resolve => (tell = resolve))
  const watched = new WatchedFile({
    option: 'x.file',
    path: 'file',
    folder,
    clock,
    everyMs: 1000,
    apply: text => tell(text),
    failed: error => tell(error.message),
  })
  const first = heard()
  await watched.start()
  expect(await first).toBe('first')
  expect(clock.paces).toEqual([1000])
  const second = heard()
  await writeFile(file, 'second')
  await watched.look()
  clock.advance(1000)
  expect(await second).toBe('second')
  watched.stop()
  expect(clock.paces).toEqual([])
})

test('null never looks', async () => {
  const clock = new CountingClock()
  await writeFile(join(folder, 'file'), 'first')
  const fail = (): never => {
    throw new Error('not expected')
  }
  const watched = new WatchedFile({ option: 'x.file', path: 'file', folder, clock, everyMs: null, apply: () => {}, failed: fail })
  await watched.start()
  expect(clock.paces).toEqual([])
})

test('a file that cannot be applied is complained of once, and one that cannot be read names its option and the cure', async () => {
  const clock = new ManualClock()
  const failed: string[] = []
  const done: (() => void)[] = []
  const watched = new WatchedFile({
    option: 'x.file',
    path: 'file',
    folder,
    clock,
    everyMs: 1000,
    apply: text => {
      if (text === 'wrong') throw new Error('wrong text')
      done.shift()?.()
    },
    failed: error => {
      failed.push(error.message)
      done.shift()?.()
    },
  })
  await expect(watched.start()).rejects.toThrow(`x.file: there is no file ${join(folder, 'file')}; make it, or correct the path`)
  await writeFile(watched.path, 'good')
  await watched.start()
  const next = async () => {
    const told = new Promise<void>(resolve => done.push(resolve))
    await watched.look()
    clock.advance(1000)
    await told
  }
  await writeFile(watched.path, 'wrong')
  await next()
  expect(failed).toEqual(['wrong text'])
  await watched.look()
  await watched.look()
  expect(failed).toEqual(['wrong text'])
  await unlink(watched.path)
  await next()
  expect(failed).toEqual(['wrong text', expect.stringContaining('there is no file')])
  await writeFile(watched.path, ' \n')
  await next()
  expect(failed[2]).toBe(`x.file: ${watched.path} is empty; write what is to count into it`)
  await writeFile(watched.path, 'good again')
  await next()
  expect(failed).toHaveLength(3)
})

test('a file that changes from look to look is read when it no longer does', async () => {
  const clock = new ManualClock()
  const applied: string[] = []
  let fail: unknown = null
  const watched = new WatchedFile({
    option: 'x.file',
    path: 'file',
    folder,
    clock,
    everyMs: null,
    apply: text => void applied.push(text),
    failed: error => (fail = error),
  })
  await writeFile(watched.path, 'all of it')
  await watched.start()
  for (const text of ['a', 'al', 'all', 'all of', 'all of it, anew']) {
    await writeFile(watched.path, text)
    await watched.look()
    expect(applied).toEqual(['all of it'])
  }
  await watched.look()
  expect([applied, fail]).toEqual([['all of it', 'all of it, anew'], null])
})
