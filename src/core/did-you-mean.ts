// The name a caller probably meant, for messages.

/** The candidate nearest to `name`, by at most a third of its letters (or one); undefined when none is near. */
export function didYouMean(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let bestEdits = Math.max(1, Math.floor(Math.min(name.length, MAX_LETTERS) / 3)) + 1
  for (const candidate of candidates.slice(0, MAX_CANDIDATES)) {
    const edits = distance(name.slice(0, MAX_LETTERS).toLowerCase(), candidate.slice(0, MAX_LETTERS).toLowerCase())
    if (edits < bestEdits) {
      best = candidate
      bestEdits = edits
    }
  }
  return best
}

/** Bounds on the work that a made-up name can cause. */
const MAX_LETTERS = 64
const MAX_CANDIDATES = 1000

/** Levenshtein's edit distance, one row of the table at a time. */
function distance(a: string, b: string): number {
  const row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    let diagonal = row[0]!
    row[0] = i
    for (let j = 1; j <= b.length; j++) {
      const above = row[j]!
      row[j] = Math.min(above + 1, row[j - 1]! + 1, diagonal + (a[i - 1] === b[j - 1] ? 0 : 1))
      diagonal = above
    }
  }
  return row[b.length]!
}
