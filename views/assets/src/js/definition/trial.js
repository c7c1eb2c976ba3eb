// The dry run: a draft tried with a real payload; what each node would see, return and send.
import { paint } from "../paint.js"
import { ago } from "../words.js"
import { icon } from "../icon.js"
import { action, h, unique } from "./dom.js"
import { post } from "./draft.js"
import { print } from "./text.js"

export const states = {
  succeeded: { tone: "good", icon: "circle-check", text: "Succeeded" }, failed: { tone: "bad", icon: "circle-x", text: "Failed" },
  skipped: { tone: "calm", icon: "circle-slash", text: "Skipped", off: true }, completed: { tone: "good", icon: "circle-check", text: "Would complete" },
  partial: { tone: "warn", icon: "circle-alert", text: "Would end partial" }, none: { tone: "calm", icon: "circle-dashed", text: "Not reached", off: true },
}

export class Trial {
  constructor(draft, { name, samples }) {
    Object.assign(this, { draft, name })
    const from = unique("sample"), payload = unique("payload")
    this.sample = h("select.input", { id: from, onchange: () => this.#choose() },
      samples.map(sample => h("option", { value: sample.run }, `Run ${ago(new Date(sample.at))}${name ? "" : ` of ${sample.definition}`} · ${sample.source} · ${sample.status}`)),
      h("option", { value: "" }, "A payload of your own"))
    this.payload = h("textarea.input.mono", { id: payload, rows: 6, spellcheck: "false", value: sampleAlert })
    this.field = h("div.field", {}, h("label", { for: payload }, "Payload ", h("span.faint", {}, "JSON")), this.payload)
    this.go = action("flask-conical", "Try it", () => this.run(), { text: "Try it", kind: ".btn-primary" })
    this.said = h("div", { role: "status" })
    this.results = h("ol.trial-nodes")
    this.element = h("section.card.trial", { "aria-label": "Dry run", hidden: true },
      h("header", {}, h("h2", {}, "Dry run"), h("span.faint", {}, "Nothing is sent or stored."), h("div.actions", {}, action("x", "Close the dry run", () => this.close(), { kind: ".btn-quiet" }))),
      h("div.body", {}, h("div.row", {}, h("div.field.grow", {}, h("label", { for: from }, "Try it with"), this.sample), this.go), this.field, this.said, this.results))
    this.#choose()
    draft.on("change", () => { if (draft.trial) this.#stale() })
    draft.on("select", () => { const open = this.items?.get(draft.selected[0]); if (open) open.open = true })
  }

  #choose() { this.field.hidden = this.sample.value !== "" }

  open() {
    this.element.hidden = false
    this.element.scrollIntoView({ block: "nearest" })
    this.go.focus()
  }

  close() {
    this.element.hidden = true
    this.draft.trial = null
    this.items = undefined
    this.results.replaceChildren()
    this.said.replaceChildren()
    this.draft.emit("trial")
  }

  #stale() {
    if (this.old) return
    this.old = true
    this.said.append(h("p.faint", {}, "The document has changed since."))
  }

  async run() {
    if (this.busy) return
    this.busy = true
    this.go.setAttribute("aria-busy", "true")
    this.said.replaceChildren(h("p.muted", {}, "Trying…"))
    try {
      const result = await post("/admin/dry-run", { name: this.name, config: this.draft.text, run_id: this.sample.value, payload: this.sample.value ? "" : this.payload.value })
      this.old = false
      this.draft.trial = result
      this.#show(result)
    } catch (error) {
      this.draft.trial = null
      this.items = undefined
      this.results.replaceChildren()
      this.said.replaceChildren(note("bad", "circle-x", error.message))
    }
    this.busy = false
    this.go.removeAttribute("aria-busy")
    this.draft.emit("trial")
  }

  #show(result) {
    const state = states[result.status] ?? { tone: "bad", icon: "circle-x", text: "Would fail" }
    const messages = result.nodes.reduce((n, node) => n + node.messages.length, 0)
    this.said.replaceChildren(h("p.trial-said", {}, h("span.badge", { "data-tone": state.tone }, icon(state.icon), state.text), ` ${messages} ${messages === 1 ? "message" : "messages"} would be sent.`, result.error && h("span.bad-text", {}, " " + result.error)))
    this.items = new Map(result.nodes.map(node => [node.node_id, this.#node(node, result)]))
    this.results.replaceChildren(...[...this.items.values()].map(item => h("li", {}, item)))
  }

  #node(node, result) {
    const state = states[node.status] ?? states.none
    const upstream = result.nodes.filter(other => node.upstream.includes(other.node_id))
    const input = { payload: result.payload, incident: result.incident, alerts: result.alerts, nodes: Object.fromEntries(upstream.map(other => [other.node_id, { output: other.output, errors: other.errors, skipped: other.skipped }])) }
    return h("details", { open: node.messages.length > 0 || node.status === "failed", "data-node": node.node_id },
      h("summary", {}, h("span.badge", { "data-tone": state.tone }, icon(state.icon), state.text), h("span.name", {}, node.node_id), h("span.faint", {}, node.node_type), node.skip_reason && h("span.muted", {}, node.skip_reason)),
      h("div.body", {},
        node.errors.map(text => note(node.status === "failed" ? "bad" : "warn", "circle-alert", text)),
        node.notes.map(text => h("p.muted", {}, text)),
        node.messages.map(message),
        node.output && data("Output", node.output), h("details", {}, h("summary", {}, "Input"), data("Input", input))))
  }

  // state is how a node or an edge looks in the graph after a dry run.
  state(id, edge) {
    const nodes = this.draft.trial?.nodes
    if (!nodes) return undefined
    const node = nodes.find(node => node.node_id === id)
    if (!edge) return node && (states[node.status] ?? states.none)
    const to = nodes.find(node => node.node_id === edge.to)
    if (!node || !to) return undefined
    const taken = !node.skipped && !to.skipped && (edge.label === "on error" ? node.status === "failed" : !edge.label || node.output?.branch === undefined || String(node.output.branch) === edge.label)
    return taken ? "done" : "off"
  }
}

function message(m) {
  const where = m.channel ? `channel ${m.channel}` : m.destination
  return h("div.would", {},
    h("p.faint", {}, icon("send"), ` Would send by ${m.driver}${where ? ` to ${where}` : ""} · ${m.action} · ${m.severity}`),
    h("p.would-title", {}, m.title), h("p.would-text", {}, m.text),
    m.facts.length > 0 && h("p.faint", {}, m.facts.map(fact => `${fact.name}: ${fact.value}`).join(" · ")),
    m.links.length > 0 && h("p.faint", {}, m.links.map(link => link.text || link.url).join(" · ")))
}

const note = (tone, name, text) => h("div.note", { "data-tone": tone, role: tone === "bad" ? "alert" : undefined }, icon(name), h("div", {}, text))

function data(label, value) {
  const pre = h("pre.data", { tabindex: "0", role: "group", "aria-label": label })
  pre.append(paint(print(value)))
  return h("div", {}, h("p.faint", {}, label), pre)
}

const sampleAlert = `{
  "alerts": [
    {
      "status": "firing",
      "labels": {"alertname": "DiskFull", "host": "db-1", "severity": "critical"},
      "annotations": {"summary": "/var on db-1 is 97 % full"}
    }
  ]
}`
