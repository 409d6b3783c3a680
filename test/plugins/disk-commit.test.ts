import { describe, expect, test } from 'vitest'
import { StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import { GroupCommit } from '../../plugins/disk/group-commit.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'

/** A disk whose every commit waits until it is told what becomes of it. */
class SlowDisk {
  readonly commits: { keys: string[]; done(error?: Error): void }[] = []
  free = 1e9
  #waiting: (() => void)[] = []

  commit(keys: readonly Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.commits.push({ keys: keys.map(String), done: error => (error === undefined ? resolve() : reject(error)) })
      for (const wake of this.#waiting.splice(0)) wake()
    })
  }

  space() {
    return { free: this.free, size: 1e9 }
  }

  /** The n-th commit, from 0, when it has come. */
  async came(n: number) {
    while (this.commits.length <= n) await new Promise<void>(resolve => this.#waiting.push(resolve))
    return this.commits[n]!
  }
}

function commitOn(disk: SlowDisk, options: { pendingBytesMax?: number; reserve?: number } = {}) {
  const told: string[] = []
  const commit = new GroupCommit(
    disk,
    { pendingBytesMax: 1e6, reserve: 1000, retryMs: 1, ...options },
    {
      failing: (error, full) => told.push(`${full ? 'full' : 'failing'}: ${error.message}`),
      low: free => told.push(`low: ${free}`),
      recovered: () => told.push('recovered'),
    },
    new SystemClock(),
  )
  const put = (key: string, bytes = 1) => commit.put(Buffer.from(key), Buffer.alloc(bytes))
  return { commit, put, told }
}

const systemError = (code: string) => Object.assign(new Error(code), { code })

/** Whether it has settled, once all that is ready has run. */
async function isPending(done: Promise<unknown>): Promise<boolean> {
  let pending = true
  done.then(
    () => (pending = false),
    () => (pending = false),
  )
  for (let turn = 0; turn < 3; turn++) await new Promise(resolve => setImmediate(resolve))
  return pending
}

describe('group commit', () => {
  test('keeps all writes of one turn by one commit, and answers none of them before', async () => {
    const disk = new SlowDisk()
    const { commit, put } = commitOn(disk)
    const answers = ['a', 'b', 'c'].map(key => {
      put(key)
      return commit.kept()
    })
    const { keys, done } = await disk.came(0)
    expect(keys).toEqual(['a', 'b', 'c'])
    expect(await Promise.all(answers.map(isPending))).toEqual([true, true, true])
    done()
    await Promise.all(answers)
    expect(disk.commits).toHaveLength(1)
    expect(commit.committed).toBe(1)
  })

  test('gathers the next batch while one is on its way, however many turns that takes', async () => {
    const disk = new SlowDisk()
    const { commit, put } = commitOn(disk)
    put('a')
    const first = commit.kept()
    await disk.came(0)
    const later: Promise<void>[] = []
    for (const key of ['b', 'c', 'd']) {
      put(key)
      later.push(commit.kept())
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(disk.commits).toHaveLength(1)
    disk.commits[0]!.done()
    await first
    const { keys, done } = await disk.came(1)
    expect(keys).toEqual(['b', 'c', 'd'])
    expect(await isPending(later[0]!)).toBe(true)
    done()
    await Promise.all(later)
  })

  test('lets no batch grow beyond what is kept in good time, and splits none in the middle of what belongs together', async () => {
    const disk = new SlowDisk()
    const { commit, put } = commitOn(disk, { pendingBytesMax: 1e9 })
    for (let i = 0; i < 5; i++) {
      put(`${i}a`, 3_000_000)
      put(`${i}b`, 3_000_000)
      void commit.kept()
    }
    const all = commit.kept()
    for (let n = 0; n < 3; n++) (await disk.came(n)).done()
    await all
    expect(disk.commits.map(({ keys }) => keys.join(' '))).toEqual(['0a 0b 1a 1b', '2a 2b 3a 3b', '4a 4b'])
  })

  test('adds to each batch what is true of it as a whole, last', async () => {
    const disk = new SlowDisk()
    const { commit, put } = commitOn(disk)
    let written = 0
    commit.beforeBatch(() => put(`sum ${written}`))
    for (const key of ['a', 'b']) {
      put(key)
      written += 1
    }
    const kept = commit.kept()
    const { keys, done } = await disk.came(0)
    expect(keys).toEqual(['a', 'b', 'sum 2'])
    done()
    await kept
  })

  test('repeats a batch that fails until it is kept: nothing is answered before, nothing is forgotten, and it is said once', async () => {
    const disk = new SlowDisk()
    const { commit, put, told } = commitOn(disk)
    put('a')
    const first = commit.kept()
    for (let n = 0; n < 3; n++) (await disk.came(n)).done(systemError('EIO'))
    put('b')
    const second = commit.kept()
    const again = await disk.came(3)
    expect(again.keys).toEqual(['a'])
    expect(await isPending(first)).toBe(true)
    expect(told).toEqual(['failing: EIO'])
    again.done()
    await first
    ;(await disk.came(4)).done()
    await second
    expect(disk.commits.map(({ keys }) => keys.join())).toEqual(['a', 'a', 'a', 'a', 'b'])
    expect(told).toEqual(['failing: EIO', 'recovered'])
  })

  test.each([
    ['EIO', StoreAwayError],
    ['ENOSPC', StoreFullError],
    ['EDQUOT', StoreFullError],
    ['EFBIG', StoreFullError],
  ])('refuses new messages and claims while it fails by %s, and takes what is owed to messages of before', async (code, error) => {
    const disk = new SlowDisk()
    const { commit, put } = commitOn(disk)
    put('a')
    const kept = commit.kept()
    expect(commit.refusalOfNew).toBeNull()
    ;(await disk.came(0)).done(systemError(code))
    await disk.came(1)
    expect(commit.refusalOfNew).toBeInstanceOf(error)
    expect(commit.refusalOfClaim).toBeInstanceOf(error)
    expect(commit.refusal).toBeNull()
    disk.commits[1]!.done()
    await kept
    expect([commit.refusalOfNew, commit.refusalOfClaim]).toEqual([null, null])
  })

  test('refuses everything when more waits than was allowed, until there is room again', async () => {
    const disk = new SlowDisk()
    const { commit, put } = commitOn(disk, { pendingBytesMax: 10_000 })
    put('a', 20_000)
    const kept = commit.kept()
    expect(commit.refusal).toBeInstanceOf(StoreAwayError)
    ;(await disk.came(0)).done()
    await kept
    expect(commit.refusal).toBeNull()
  })

  test('takes no new messages while little space is left, and again when there is more', async () => {
    const disk = new SlowDisk()
    const { commit, put, told } = commitOn(disk)
    disk.free = 999
    put('a')
    const kept = commit.kept()
    ;(await disk.came(0)).done()
    await kept
    expect(commit.refusalOfNew).toBeInstanceOf(StoreFullError)
    // Who drains a queue makes space, so they may come.
    expect([commit.refusalOfClaim, commit.refusal]).toEqual([null, null])
    disk.free = 1001
    put('b')
    const more = commit.kept()
    ;(await disk.came(1)).done()
    await more
    expect(commit.refusalOfNew).toBeNull()
    expect(told).toEqual(['low: 999', 'recovered'])
  })

  test('looks by itself whether there is space again, though nobody writes', async () => {
    const disk = new SlowDisk()
    const { commit, put, told } = commitOn(disk)
    disk.free = 999
    put('a')
    const kept = commit.kept()
    ;(await disk.came(0)).done()
    await kept
    disk.free = 1e9
    await expect.poll(() => told, { interval: 1 }).toEqual(['low: 999', 'recovered'])
    expect(commit.refusalOfNew).toBeNull()
  })

  test('waits at its end for what is on its way, and tells those whose writes the disk does not take', async () => {
    const disk = new SlowDisk()
    const { commit, put } = commitOn(disk)
    put('a')
    const kept = commit.kept()
    const closing = commit.close()
    ;(await disk.came(0)).done(systemError('EIO'))
    await expect(kept).rejects.toBeInstanceOf(StoreAwayError)
    await expect(closing).rejects.toBeInstanceOf(StoreAwayError)
    expect(disk.commits).toHaveLength(1)
    expect(commit.refusal).toBeInstanceOf(StoreAwayError)
  })
})
