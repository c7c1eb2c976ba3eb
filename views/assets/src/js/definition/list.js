// The list: every node as a form, in the order of the document. It is the editor for screen readers
// and small screens; the same draft is behind it.
import { icon } from "../icon.js"
import { action, h } from "./dom.js"
import { documentHead, Form } from "./form.js"
import { NodeForm, nodeActions } from "./inspector.js"

export class List {
  constructor(draft, { kinds, help }) {
    Object.assign(this, { draft, help, items: new Map() })
    this.list = h("ol.node-list")
    this.pipeline = h("details.pipeline", { ontoggle: () => this.#whole() }, h("summary", {}, "Triggers and defaults"))
    this.element = h("div.list-view", {}, this.pipeline, this.list, h("div.list-add", {}, h("span.label", {}, "Add a node"), kinds()))
    draft.on("change check", () => this.update())
    draft.on("select", () => this.#openSelected())
  }

  get visible() { return this.element.offsetParent !== null }

  show() { this.update(); this.#openSelected() }

  update() {
    if (!this.visible) return
    const { draft } = this, seen = new Set()
    this.#whole()
    for (const [id, item] of this.items) {
      if (!item.form || item.form.id === id) continue // renamed: the form knows its node
      this.items.delete(id)
      this.items.set(item.id = item.form.id, item)
    }
    const rows = draft.nodes.map((node, i) => {
      let item = this.items.get(node.id)
      if (!item || item.form && !draft.node(item.form.id)) item = this.#item(node.id)
      seen.add(node.id)
      this.#refresh(item, node, i)
      return item.element
    })
    for (const [id, item] of this.items) if (!seen.has(id)) { item.form?.destroy(); this.items.delete(id) }
    rows.forEach((row, i) => { if (this.list.children[i] !== row) this.list.insertBefore(row, this.list.children[i] ?? null) })
    while (this.list.children.length > rows.length) this.list.lastChild.remove()
    if (!rows.length) this.list.replaceChildren(h("li.empty", {}, h("p", {}, "No nodes yet. Add the first one below.")))
  }

  // #whole is what holds for the whole document.
  #whole() {
    if (!this.pipeline.open || this.draft.broken) return
    if (this.form) { this.form.update(); return }
    this.form = new Form(this.draft, { root: [], schema: this.draft.schema.document, skip: documentHead, help: this.help })
    this.pipeline.append(this.form.element)
  }

  #item(id) {
    const { draft } = this
    const item = { id, title: h("span.name"), kind: h("span.faint"), leads: h("span.leads"), state: h("span"), sign: h("span.sign") }
    item.body = h("div.body")
    item.details = h("details", { ontoggle: () => {
      if (item.details.open && !item.form) {
        item.form = new NodeForm(draft, item.id, { help: this.help })
        item.body.append(item.form.element)
        item.form.form.mark()
      }
      if (item.details.open && draft.selected[0] !== item.id) draft.select(item.id)
    } }, h("summary", {}, item.sign, item.title, item.kind, item.leads, item.state), item.body)
    item.tools = h("div.tools")
    item.element = h("li", {}, item.details, item.tools)
    this.items.set(id, item)
    return item
  }

  #refresh(item, node, i) {
    const { draft } = this
    const edges = draft.edges().filter(edge => edge.from === node.id)
    const issues = draft.issuesAt(`/nodes/${i}`, true), errors = issues.filter(issue => issue.severity === "error").length
    item.title.textContent = String(node.id ?? "")
    item.kind.textContent = String(node.type ?? "")
    item.leads.textContent = edges.length ? "→ " + edges.map(edge => edge.label ? `${edge.to} (${edge.label})` : edge.to).join(", ") : "ends here"
    if (item.icon !== node.type) { item.icon = node.type; item.sign.replaceChildren(icon(draft.schema.type(node.type)?.icon ?? "circle-dot")) }
    const text = errors ? `${errors} ${errors === 1 ? "error" : "errors"}` : issues.length ? `${issues.length} ${issues.length === 1 ? "warning" : "warnings"}` : ""
    if (item.said !== text) {
      item.said = text
      item.state.replaceChildren(...(text ? [h("span.badge", { "data-tone": errors ? "bad" : "warn" }, icon(errors ? "circle-x" : "triangle-alert"), text)] : []))
    }
    const place = `${i} of ${draft.nodes.length} ${node.id}`
    if (item.place !== place) {
      item.place = place
      item.tools.replaceChildren(
        action("arrow-up", `Move ${node.id} up`, () => this.#move(node.id, -1), { kind: ".btn-quiet" }),
        action("arrow-down", `Move ${node.id} down`, () => this.#move(node.id, 1), { kind: ".btn-quiet" }),
        ...nodeActions(draft, node.id).children)
      item.tools.children[0].disabled = i === 0
      item.tools.children[1].disabled = i === draft.nodes.length - 1
    }
    item.form?.update()
  }

  #move(id, by) {
    this.draft.move(id, by)
    const tools = this.items.get(id).tools
    ;[...tools.children].find((button, i) => i === (by < 0 ? 0 : 1) && !button.disabled)?.focus() ?? tools.children[by < 0 ? 1 : 0].focus()
  }

  #openSelected() {
    if (!this.visible) return
    const item = this.items.get(this.draft.selected[0])
    if (!item) return
    item.details.open = true
    item.element.scrollIntoView({ block: "nearest" })
    if (this.draft.focus) { const at = this.draft.focus; this.draft.focus = ""; queueMicrotask(() => item.form?.focus(at)) }
  }
}
