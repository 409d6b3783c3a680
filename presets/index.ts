export * from '../core/errors.ts'
export * from '../core/reason.ts'
