// Times and durations in words, as the server writes them too (views/page.go).
const units = [["day", 86400], ["hour", 3600], ["minute", 60]]
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "narrow" })
const sameYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" })
const otherYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" })

// ago says when `date` was, in the one unit that matters; a moment ahead says "in …", never "-3 s".
export function ago(date, now = Date.now()) {
  const seconds = (date - now) / 1000
  if (Math.abs(seconds) < 45) return seconds > 5 ? `in ${Math.round(seconds)} s` : "just now"
  if (seconds < -30 * 86400) return (date.getFullYear() === new Date(now).getFullYear() ? sameYear : otherYear).format(date)
  for (const [unit, size] of units) if (Math.abs(seconds) >= size * 0.9) return relative.format(Math.trunc(seconds / size) || Math.sign(seconds), unit)
  return relative.format(Math.sign(seconds), "minute")
}

export function duration(ms) {
  if (ms < 0) ms = 0
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
  const seconds = Math.floor(ms / 1000)
  if (seconds < 3600) return inTwo(Math.floor(seconds / 60), "min", seconds % 60, "s")
  const hours = Math.floor(seconds / 3600), days = Math.floor(hours / 24)
  if (days < 1) return inTwo(hours, "h", Math.floor((seconds % 3600) / 60), "min")
  if (days < 365) return inTwo(days, "d", hours % 24, "h")
  return days < 730 ? "1 year" : `${Math.floor(days / 365)} years`
}

// inTwo leaves a second unit of nothing out.
const inTwo = (many, unit, rest, small) => `${many} ${unit}${rest ? ` ${rest} ${small}` : ""}`
