// <run-timeline started="…" now="…" ended="…">: keeps the bars of all stages on one time scale and
// lets those of running attempts grow. The server draws them right; this keeps them right.
import { duration } from "./words.js"

customElements.define("run-timeline", class extends HTMLElement {
  connectedCallback() {
    this.skew = Date.now() - Number(this.dataset.now) // this clock against the server's
    this.observer = new MutationObserver(() => this.draw())
    this.observer.observe(this, { childList: true, subtree: true })
    this.timer = setInterval(() => { if (!document.hidden && this.running && !("stopped" in document.body.dataset)) this.draw() }, 200)
    this.draw()
  }

  disconnectedCallback() { this.observer.disconnect(); clearInterval(this.timer) }

  draw() {
    const bars = [...this.querySelectorAll("rect[data-from]")]
    const now = Math.max(0, Date.now() - this.skew - Number(this.dataset.started))
    this.running = bars.some(bar => bar.dataset.to === "")
    const end = bar => bar.dataset.to === "" ? now : Number(bar.dataset.to)
    const total = Math.max(1, ...bars.map(end))
    for (const bar of bars) {
      const from = Number(bar.dataset.from)
      bar.setAttribute("x", `${100 * from / total}%`)
      bar.setAttribute("width", `${Math.max(0.35, 100 * (end(bar) - from) / total)}%`)
    }
    const scale = this.querySelector("[data-total]")
    const text = duration(total)
    if (scale && scale.textContent !== text) scale.textContent = text
  }
})
