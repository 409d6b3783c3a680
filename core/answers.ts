import { ReasonCode } from './reason.ts'

/** Which answers of a tap each kind of hook knows. Taps may be plain JavaScript, so nothing is taken on the word of a type. */
export const answer = {
  isError: (value: unknown) => value instanceof Error,
  isFalse: (value: unknown) => value === false,
  isPermission: (value: unknown) => typeof value === 'boolean' || value === 'drop' || value === 'close',
  isRefusal(value: unknown): boolean {
    return value === false || isFailureCode(value) || (isObject(value) && isFailureCode(value.reasonCode) && isText(value))
  },
  isAdmissionOrRefusal(value: unknown): boolean {
    return value === true || answer.isRefusal(value) || isAdmission(value)
  },
  isAuthStep(value: unknown): boolean {
    return answer.isRefusal(value) || (isObject(value) && (value.continue === true || isAdmission(value.admission)))
  },
  isVerdict(value: unknown): boolean {
    return value === 'drop' || value === 'kept' || answer.isRefusal(value)
  },
  isMember(value: unknown): boolean {
    return isObject(value) && isObject(value.subscriber) && isObject(value.subscription)
  },
  areRights(value: unknown): boolean {
    return isObject(value) && isFilterList(value.authorizedPub) && isFilterList(value.authorizedSub)
  },
  /** From a hook that can only say no: "let it". */
  isYes: (value: unknown) => value === true || value === ReasonCode.Success,
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isFailureCode(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0x80 && value <= 0xff
}

function isText({ reasonString, serverReference, userProperties }: Record<string, unknown>): boolean {
  return (
    (reasonString === undefined || typeof reasonString === 'string') &&
    (serverReference === undefined || typeof serverReference === 'string') &&
    (userProperties === undefined || (Array.isArray(userProperties) && userProperties.every(isUserProperty)))
  )
}

function isUserProperty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && typeof value[1] === 'string'
}

/** Nobody is let in by a slip of the pen: whatever else an object says, it does not admit. */
function isAdmission(value: unknown): boolean {
  if (!isObject(value) || Array.isArray(value) || value instanceof Error) return false
  const { username, rights, expiresAt, ...unknown } = value
  return (
    Object.keys(unknown).length === 0 &&
    (username === undefined || username === null || typeof username === 'string') &&
    (rights === undefined || answer.areRights(rights)) &&
    (expiresAt === undefined || (typeof expiresAt === 'number' && !Number.isNaN(expiresAt)))
  )
}

function isFilterList(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.every(filter => typeof filter === 'string'))
}
