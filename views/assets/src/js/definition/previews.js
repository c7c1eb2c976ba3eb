// What a trigger would do: which of the newest alerts a rule takes, and when a schedule comes round.
import { ago } from "../words.js"
import { icon } from "../icon.js"
import { h } from "./dom.js"
import { post } from "./draft.js"

// preview is what stands below a field of a trigger, undefined for other fields.
export function preview(draft, path, field) {
  if (path[0] !== "triggers") return undefined
  if (field.schema.format === "cel") return new Preview(draft, () => [draft.get(path), text => post("/admin/try-match", { match: text }), showMatches]).element
  if (field.schema.format === "cron") return new Preview(draft, () => [JSON.stringify(draft.get(path.slice(0, -1)) ?? ""), () => post("/admin/try-schedule", draft.get(path.slice(0, -1))), showTimes]).element
  return undefined
}

class Preview {
  constructor(draft, ask) {
    this.ask = ask
    this.element = h("div.preview", { "aria-live": "polite" })
    draft.on("check", () => { if (this.element.isConnected) this.update() })
    queueMicrotask(() => this.update())
  }

  async update() {
    const [key, question, show] = this.ask()
    if (key === this.key) return
    this.key = key
    if (!key || key === "\"\"") return this.element.replaceChildren()
    try {
      const answer = await question(key)
      if (key === this.key) this.element.replaceChildren(...show(answer))
    } catch { // what is wrong is listed with the checks
      if (key === this.key) this.element.replaceChildren()
    }
  }
}

function showMatches({ alerts }) {
  const hits = alerts.filter(alert => alert.matched)
  if (!alerts.length) return [h("p.faint", {}, "No alert is stored yet to try this on.")]
  const unknown = alerts.find(alert => alert.why)
  return [
    h("p", {}, `${hits.length} of the last ${alerts.length} ${alerts.length === 1 ? "alert" : "alerts"} would have matched.`),
    h("ul", {}, hits.slice(0, 8).map(alert => h("li", {}, icon("check"), h("span.name", {}, alert.name), alert.host && h("span.faint", {}, alert.host), h("span.faint", {}, `${alert.severity}, ${ago(new Date(alert.at))}`)))),
    hits.length > 8 && h("p.faint", {}, `and ${hits.length - 8} more`),
    unknown && h("p.faint", {}, `${unknown.name}: ${unknown.why}`),
  ].filter(Boolean)
}

function showTimes({ times }) {
  const day = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })
  if (!times.length) return [h("p.faint", {}, "It never comes round.")]
  return [h("p", {}, "Next, in your time:"), h("ul", {}, times.map(time => h("li", {}, icon("clock"), h("time", { datetime: time }, day.format(new Date(time))), h("span.faint", {}, ago(new Date(time))))))]
}
