import { StoredFormatError } from '../kit/stored-message.ts'

/**
 * The version of everything that is written to a folder; it rises with any change of a row, and with that of stored messages (plugins/kit/stored-message.ts).
 * A folder says which version it has, for an older broker to refuse it as a whole; each row says so too, so that rows of older versions are read as
 * they are and written anew only when they change. Format 2: rows say their version, sessions their user. Format 3: messages say the user name of their publisher. Format 4: each row has
 * a checksum behind its value, which all rows of an older folder get at its first start (add-sums.ts); below it they are what they were.
 */
export const format = 4

// In format 1 some rows began with a 1 and others had no version; none began with a byte from here on.
const mark = 0x80

/** The first byte of every row that is written. */
export const formatByte = mark | format

/** The version of a row that begins with `formatByte`, or had no version in format 1. `what` names it where a newer version wrote it: that is an error. */
export function formatOf(row: Buffer, what: string): number {
  const first = row[0] ?? 0
  if (first < mark) return 1
  if (first - mark > format) throw StoredFormatError.newer(what, first - mark, format)
  return first - mark
}

/** The same for a row that began with its version in format 1 too. */
export function markedFormatOf(row: Buffer, what: string): number {
  const first = row[0]
  if (first === undefined) throw new StoredFormatError(`${what} is empty`)
  if (first > 1 && first < mark) throw StoredFormatError.newer(what, first, format)
  return formatOf(row, what)
}
