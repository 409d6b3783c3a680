import { expect, test } from 'vitest'
import { connackReturnCode, ReasonCode } from '../../core/reason.ts'
import { reasonName } from '../../plugins/kit/reason-name.ts'

test('names a reason code as the standard does, an unknown one by its number', () => {
  expect(reasonName(0x8e)).toBe('SessionTakenOver')
  expect(reasonName(0xf7)).toBe('0xf7')
})

test('tells a 3.1.1 client by return code what a 5.0 client is told by reason code', () => {
  const codes = [ReasonCode.Success, 0x84, 0x85, 0x88, 0x86, 0x87, 0x83].map(code => connackReturnCode(code))
  expect(codes).toEqual([0, 1, 2, 3, 4, 5, 3])
})
