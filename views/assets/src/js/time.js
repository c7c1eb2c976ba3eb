// <relative-time><time datetime="…"></relative-time> shows "3 min ago" and, on hover, the moment in
// local time and UTC. <elapsed-time since="…"> counts up. All share one clock that ticks once a second.
const units = [["day", 86400], ["hour", 3600], ["minute", 60]]
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "narrow" })
const sameYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" })
const otherYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" })
const local = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" })
const ticking = new Set()

// A page whose reader is signed out (data-stopped) stays as it was.
const tick = () => { if (!document.hidden && !("stopped" in document.body.dataset)) for (const element of ticking) element.tick() }
setInterval(tick, 1000)
document.addEventListener("htmx:after:swap", tick)
document.addEventListener("visibilitychange", tick)

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
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const hours = Math.floor(seconds / 3600), days = Math.floor(hours / 24)
  if (days < 1) return `${hours} h ${Math.floor((seconds % 3600) / 60)} min`
  if (days < 365) return `${days} d ${hours % 24} h`
  return days < 730 ? "1 year" : `${Math.floor(days / 365)} years`
}

class Ticking extends HTMLElement {
  connectedCallback() { ticking.add(this); this.tick() }
  disconnectedCallback() { ticking.delete(this) }
}

customElements.define("relative-time", class extends Ticking {
  tick() {
    const time = this.querySelector("time")
    if (!time) return
    const date = new Date(time.dateTime)
    const text = ago(date)
    if (time.textContent !== text) time.textContent = text
    if (!time.title.includes("\n")) time.title = `${local.format(date)} here\n${time.title}`
  }
})

customElements.define("elapsed-time", class extends Ticking {
  tick() {
    const text = duration(Date.now() - Date.parse(this.getAttribute("since")))
    if (this.textContent !== text) this.textContent = text
  }
})
