// The exact interval of Clopper and Pearson for a probability that showed itself `successes` times in `n`.

export interface Share {
  readonly estimate: number
  readonly low: number
  readonly high: number
}

export function binomialInterval(successes: number, n: number, confidence = 0.95): Share {
  const tail = (1 - confidence) / 2
  return {
    estimate: successes / n,
    low: successes === 0 ? 0 : bisect((p) => 1 - atMost(successes - 1, n, p) < tail),
    high: successes === n ? 1 : bisect((p) => atMost(successes, n, p) > tail),
  }
}

export function shareText({ estimate, low, high }: Share): string {
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`
  return `${percent(estimate)} (${percent(low)} to ${percent(high)})`
}

/** P(X <= k), summed from the logarithm of its first term. */
function atMost(k: number, n: number, p: number): number {
  let log = n * Math.log1p(-p)
  let sum = Math.exp(log)
  for (let i = 1; i <= k; i++) {
    log += Math.log((n - i + 1) / i) + Math.log(p / (1 - p))
    sum += Math.exp(log)
  }
  return Math.min(1, sum)
}

function bisect(holds: (p: number) => boolean): number {
  let low = 0
  let high = 1
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2
    if (holds(middle)) low = middle
    else high = middle
  }
  return (low + high) / 2
}
