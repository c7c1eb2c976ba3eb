import { ago, duration } from "./words.js"

// <relative-time><time datetime="…"></relative-time> shows "3 min ago" and, on hover, the moment in
// local time and UTC. <elapsed-time since="…"> counts up. All share one clock that ticks once a second.
const local = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" })
const ticking = new Set()

// A page whose reader is signed out (data-stopped) stays as it was.
const tick = () => { if (!document.hidden && !("stopped" in document.body.dataset)) for (const element of ticking) element.tick() }
setInterval(tick, 1000)
document.addEventListener("htmx:after:swap", tick)
document.addEventListener("visibilitychange", tick)

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
