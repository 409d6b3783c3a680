export { LineThrottle, type LineThrottleOptions } from '../../core/line-throttle.ts'
