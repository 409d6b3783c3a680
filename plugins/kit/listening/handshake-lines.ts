import type { ClientEvent } from '../client-lines.ts'

/** A client whose TLS handshake failed, for `ClientLines`: by its address, and why. */
export const handshakeFailed: ClientEvent = { level: 'info', text: 'TLS handshake failed', who: 'address', about: 'reason' }

/** A client whose certificate does not let it in, for `ClientLines`. */
export const certificateRefused: ClientEvent = { level: 'info', text: 'client refused', who: 'address', about: 'reason' }
