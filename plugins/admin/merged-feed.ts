import type { MissingNode, VerbPart } from '../kit/verbs/verbs.ts'
import { Feed, type FeedLimits } from './feed.ts'

// A piece is about so long; what it really is, the node that has made it has counted.
const pieceBytes = 400

/** One stream of those of several nodes, each piece with its node. A node that has not answered, or that goes meanwhile, is named by a piece `missing`. */
export function mergedFeed(parts: readonly VerbPart[], missing: readonly MissingNode[], limits: FeedLimits): AsyncIterable<object> {
  const [only] = parts
  if (parts.length === 1 && missing.length === 0) return only!.answer as AsyncIterable<object>
  const walks = parts.map(({ node, answer }) => ({ node, walk: (answer as AsyncIterable<object>)[Symbol.asyncIterator]() }))
  let left = walks.length
  const feed = new Feed(limits, () => {
    // A walk that waits for its next piece ends with that.
    for (const { walk } of walks) void Promise.resolve(walk.return?.()).catch(() => {})
  })
  const pass = async ({ node, walk }: (typeof walks)[number]): Promise<void> => {
    try {
      for (;;) {
        const { value, done } = await walk.next()
        if (done === true) break
        feed.push({ ...value, node }, pieceBytes)
      }
    } catch (error) {
      feed.push({ missing: { node, why: (error as Error).message } }, pieceBytes)
    }
    left -= 1
    if (left === 0) feed.end()
  }
  for (const one of missing) feed.push({ missing: one }, pieceBytes)
  for (const one of walks) void pass(one)
  if (walks.length === 0) feed.end()
  return feed
}
