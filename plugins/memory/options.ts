import { defineOptions } from '../../core/options/options.ts'

export const memoryOptions = defineOptions({})
