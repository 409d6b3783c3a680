import { expect, test } from 'vitest'
import { Services } from '../../core/services.ts'

const log = { name: 'a log' } as never

test('hands out what its one owner provides', () => {
  const services = new Services()
  services.provide('log', log, 'log')
  expect(services.get('log')).toBe(log)
  expect(services.find('log')).toBe(log)
  expect(services.has('log')).toBe(true)
  expect(services.ownerOf('log')).toBe('log')
})

test('names both where two plugins own one service', () => {
  const services = new Services()
  services.provide('log', log, 'log')
  expect(() => services.provide('log', log, 'other')).toThrow(
    expect.objectContaining({ code: 'ERR_SERVICE_TWICE', message: expect.stringMatching(/other and log.*"log"/) }),
  )
  expect(services.ownerOf('log')).toBe('log')
})

test('names the service that nobody owns, and says nothing where asked only whether it is there', () => {
  const services = new Services()
  expect(services.find('retained')).toBeUndefined()
  expect(services.has('retained')).toBe(false)
  expect(services.ownerOf('retained')).toBeUndefined()
  expect(() => services.get('retained')).toThrow(
    expect.objectContaining({ code: 'ERR_SERVICE_MISSING', message: expect.stringContaining('"retained"') }),
  )
})
