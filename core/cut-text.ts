const shownMax = 256
const isCut = /… \(\d+ characters\)$/

/** A text that a client may have made up, at most 256 characters of it and how many there are: whatever clients call themselves, a line and what is kept for it are bounded. What was cut already stays as it is. */
export function cutText(text: string, max = shownMax): string {
  // The number has ten digits at most.
  if (text.length <= max || (text.length <= max + 24 && isCut.test(text))) return text
  // Not in the middle of a letter that takes two code units; and a copy, for a part of a string keeps the whole of it.
  return Buffer.from(`${text.slice(0, max).replace(/[\ud800-\udbff]$/, '')}… (${text.length} characters)`).toString()
}
