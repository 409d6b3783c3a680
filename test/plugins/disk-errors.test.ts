import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { diskVerdict, goneCode } from '../../plugins/disk/disk-errors.ts'

const system = (code: string | number): Error => Object.assign(new Error(String(code)), { code })

test.each<[code: string | number, kind: 'full' | 'outage', name: string]>([
  ['ENOSPC', 'full', 'ENOSPC'],
  ['EDQUOT', 'full', 'EDQUOT'],
  ['EFBIG', 'full', 'EFBIG'],
  // LMDB's own errors, and the system's that come through it, are numbers.
  [28, 'full', 'ENOSPC'],
  [122, 'full', 'EDQUOT'],
  [27, 'full', 'EFBIG'],
  [-30792, 'full', 'MDB_MAP_FULL'],
  ['EIO', 'outage', 'EIO'],
  [5, 'outage', 'EIO'],
  ['EROFS', 'outage', 'EROFS'],
  ['EACCES', 'outage', 'EACCES'],
  [-30796, 'outage', 'MDB_CORRUPTED'],
  [-30797, 'outage', 'MDB_PAGE_NOTFOUND'],
  [-30795, 'outage', 'MDB_PANIC'],
  [-30788, 'outage', 'MDB_TXN_FULL'],
  [-30790, 'outage', 'MDB_READERS_FULL'],
  [-30781, 'outage', 'MDB_BAD_VALSIZE'],
  [goneCode, 'outage', goneCode],
  ['EWHATEVER', 'outage', 'EWHATEVER'],
  [99_999, 'outage', '99999'],
])('an error of the disk is told apart: %s', (code, kind, name) => {
  const verdict = diskVerdict(system(code))
  expect([verdict.kind, verdict.name]).toEqual([kind, name])
  expect(verdict.cure).not.toBe('')
})

test('an error that Node has no name for is known by its number', () => {
  const error = Object.assign(new Error('write'), { code: 'Unknown system error -122', errno: -constants.errno.EDQUOT })
  expect(diskVerdict(error)).toMatchObject({ kind: 'full', name: 'EDQUOT' })
})
