// The forms of one node: its id and type, where it leads, its settings.
import { icon } from "../icon.js"
import { action, h, unique } from "./dom.js"
import { Form } from "./form.js"

const rare = ["required", "when", "skip_if_errors", "skip_if_condition", "max_retries", "timeout_seconds", "on_error"]

export class NodeForm {
  constructor(draft, id, { help } = {}) {
    this.draft = draft
    this.id = id
    const name = unique("id"), type = unique("type")
    this.name = h("input.input", { id: name, value: id, required: true, pattern: "[A-Za-z_][A-Za-z0-9_]*", autocomplete: "off", spellcheck: "false", "aria-describedby": `${name}-problem`, onchange: () => this.#rename() })
    this.type = h("select.input", { id: type, "aria-describedby": `${type}-about`, onchange: event => draft.edit(doc => {
      const node = doc.nodes[draft.index(this.id)]
      node.type = event.target.value
      delete node.config
    }, { quick: true }) })
    this.about = h("details.about", { id: `${type}-about` }, h("summary", {}, "What it does"), h("p", {}))
    this.problem = h("span.problems", { id: `${name}-problem` })
    const node = draft.node(id), index = draft.index(id)
    this.form = new Form(draft, { root: ["nodes", index], schema: draft.schema.of(node), node: id, fold: rare, help })
    this.element = h("div.node-form", {},
      h("div.row", {}, h("div.field.grow", {}, h("label", { for: name }, "Name"), this.name), h("div.field.grow", {}, h("label", { for: type }, "Type"), this.type)),
      this.problem, this.about, this.form.element)
    this.update()
  }

  #rename() {
    const to = this.name.value.trim()
    const why = !/^[A-Za-z_][A-Za-z0-9_]*$/.test(to) ? "Letters, digits and _; the first is not a digit." : to !== this.id && this.draft.node(to) ? `There is a node ${to} already.` : ""
    this.problem.replaceChildren(...(why ? [h("span", { "data-tone": "bad" }, icon("circle-x"), why)] : []))
    this.name.setAttribute("aria-invalid", String(Boolean(why)))
    if (why || to === this.id) return
    const from = this.id
    this.id = to
    this.draft.rename(from, to)
    this.draft.select(to)
  }

  // update follows the document; false if the node is gone.
  update() {
    const node = this.draft.node(this.id), index = this.draft.index(this.id)
    if (!node) return false
    this.form.node = this.id
    if (document.activeElement !== this.name) this.name.value = this.id
    const kind = this.draft.schema.type(node.type)
    const names = this.draft.schema.types.map(t => t.name)
    this.type.replaceChildren(...this.draft.schema.types.map(t => h("option", { value: t.name }, t.title)), ...(kind ? [] : [h("option", { value: node.type ?? "" }, String(node.type ?? "–"))]))
    this.type.value = names.includes(node.type) ? node.type : node.type ?? ""
    this.about.lastChild.textContent = kind?.about ?? ""
    this.about.hidden = !kind?.about
    this.form.update(["nodes", index], this.draft.schema.of(node))
    const issues = ["", "/id", "/type"].flatMap(end => this.draft.issuesAt(`/nodes/${index}${end}`))
    this.problem.replaceChildren(...issues.map(issue => h("span", { "data-tone": issue.severity === "error" ? "bad" : "warn" }, icon(issue.severity === "error" ? "circle-x" : "triangle-alert"), issue.message)))
    return true
  }

  focus(at) {
    if (at === "id") { this.name.focus(); this.name.select() } else if (at === "first") this.form.leaves.length ? this.form.focus() : this.name.focus()
    else this.form.focus(at)
  }

  destroy() { this.form.destroy() }
}

// head is the line of buttons of a node.
export function nodeActions(draft, id, { copy } = {}) {
  return h("div.actions", {},
    action("copy", `Duplicate ${id}`, copy ?? (() => draft.paste([draft.node(id)])), { kind: ".btn-quiet" }),
    action("trash-2", `Remove ${id}`, () => draft.remove([id]), { kind: ".btn-quiet" }))
}
