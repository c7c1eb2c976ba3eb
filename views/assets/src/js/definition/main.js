// <definition-editor><textarea name="config"></definition-editor>: graph, list and JSON of one draft.
// The textarea is what the form sends; without this script it is the editor.
import { unifiedMergeView } from "@codemirror/merge"
import { icon } from "../icon.js"
import { jsonView, mark } from "./code.js"
import { action, h, unique } from "./dom.js"
import { Draft } from "./draft.js"
import { documentHead, Form } from "./form.js"
import { Graph } from "./graph.js"
import { NodeForm, nodeActions } from "./inspector.js"
import { Kept } from "./kept.js"
import { List } from "./list.js"
import { preview } from "./previews.js"
import { Schema } from "./schema.js"
import { placeOf } from "./text.js"
import { Trial } from "./trial.js"

const views = [["graph", "workflow", "Graph"], ["list", "list", "List"], ["json", "braces", "JSON"]]
const mac = /Mac/.test(navigator.platform)

customElements.define("definition-editor", class extends HTMLElement {
  async connectedCallback() {
    if (this.area) return
    this.area = this.querySelector("textarea")
    const server = JSON.parse(document.getElementById("editor-data").textContent)
    try {
      this.schema = await Schema.load(server.types)
    } catch (error) {
      this.prepend(h("p.note", { "data-tone": "warn" }, icon("triangle-alert"), h("div", {}, `${error.message} The document can be edited as text.`)))
      return
    }
    this.draft = new Draft(this.schema, server.draft, server)
    this.code = jsonView(this.area.value.replace(/^\n/, ""), this.schema, this.draft)
    this.draft.attach(this.code)
    this.#build(server)
    this.area.hidden = true
    this.classList.remove("code")
    document.body.classList.add("with-editor")
    this.draft.on("change", () => { this.noticed = undefined; this.#sync() })
    this.draft.on("change check", () => this.#problems())
    this.draft.on("change check select", () => this.#inspect())
    this.#problems()
    this.#inspect()
    this.show(new URLSearchParams(location.hash.slice(1)).get("view") ?? (this.dataset.theirs !== undefined ? "json" : matchMedia("(width < 48rem)").matches ? "list" : "graph"), { quiet: true })
    const theirs = document.getElementById("theirs")
    if (theirs) this.#merge(theirs.textContent)
    this.#keep(server)
    this.addEventListener("keydown", event => this.#keys(event))
    window.addEventListener("focus", () => this.draft.again())
  }

  #build(server) {
    const { draft } = this
    this.trial = new Trial(draft, { name: server.name, samples: server.samples })
    const help = (path, field) => preview(draft, path, field)
    const kinds = () => h("div.node-kinds", { role: "group", "aria-label": "Add a node" }, this.schema.types.map(type => h("button.btn.btn-small", {
      type: "button", title: `${type.title}: ${type.about.split(". ")[0]}.`, draggable: "true", onclick: () => draft.add(type.name),
      ondragstart: event => { if (this.view === "graph") this.graph.dragNew(event, type.name); else event.preventDefault() },
    }, icon(type.icon), type.title)))
    this.status = h("p.status", { role: "status" })
    this.graph = new Graph(draft, {
      states: (id, edge) => this.trial.state(id, edge), say: text => { this.status.textContent = text },
      open: (id, at = "first") => { draft.select(id); this.#focusInspector(at) },
    })
    this.list = new List(draft, { kinds, help })
    this.live = h("p.sr-only", { "aria-live": "polite" })
    this.inspector = h("aside.inspector", { "aria-label": "Settings of the open node" })
    this.help = help
    this.tabs = h("div.tabs.view-tabs", { role: "tablist", "aria-label": "View of the definition" }, views.map(([name, sign, text]) =>
      h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `view-${name}`, onclick: () => this.show(name), onkeydown: event => this.#tabKey(event, name) }, icon(sign), text)))
    this.tools = h("div.tools", {},
      action("undo-2", "Undo", () => draft.undo(), { keys: mac ? "⌘Z" : "Ctrl+Z", kind: ".btn-quiet" }), action("redo-2", "Redo", () => draft.redo(), { keys: mac ? "⇧⌘Z" : "Ctrl+Shift+Z", kind: ".btn-quiet" }),
      this.graphTools = h("div.tools", {},
        action("wand-sparkles", "Arrange", () => this.graph.arrange(), { kind: ".btn-quiet" }), action("zoom-out", "Smaller", () => this.graph.zoom(0.8), { keys: "-", kind: ".btn-quiet" }),
        action("zoom-in", "Larger", () => this.graph.zoom(1.25), { keys: "+", kind: ".btn-quiet" }), action("maximize", "Show all", () => this.graph.fit(), { keys: "1", kind: ".btn-quiet" })),
      server.dry_run && action("flask-conical", "Dry run", () => this.trial.open(), { text: "Dry run" }))
    this.verdict = h("button.verdict", { type: "button", title: "Go to the first problem", onclick: () => draft.issues.length && this.#open(draft.issues[0]) })
    this.banner = h("div.banners")
    this.problems = h("section.problem-list", { "aria-label": "Checks" })
    this.parts = {
      graph: h("div.view.graph-view", {}, h("div.stage-area", {}, kinds(), this.graph.element, this.status,
        h("p.sr-only", { id: "graph-keys" }, "Arrow keys go from node to node. Enter opens the settings, Delete removes, F2 renames. Control C, V and D copy, paste and duplicate. To connect nodes without dragging, use Next in the settings. The List has everything as forms.")), this.inspector),
      list: h("div.view", {}, this.list.element),
      json: h("div.view.json-view", {}, this.code.dom),
    }
    for (const [name, part] of Object.entries(this.parts)) {
      part.id = `view-${name}`
      part.setAttribute("role", "tabpanel")
      part.setAttribute("aria-labelledby", `tab-${name}`)
    }
    this.append(h("div.editor-bar", {}, this.tabs, this.#finder(), h("div.checked", { "aria-live": "polite" }, this.verdict), this.tools), this.banner, ...Object.values(this.parts), this.problems, this.live)
    this.closest("form").after(this.trial.element)
  }

  // #finder opens a node by its name; "/" leads here.
  #finder() {
    const { draft } = this, names = unique("nodes")
    const options = h("datalist", { id: names })
    const field = h("input.input", { type: "search", list: names, placeholder: "Find a node", "aria-label": "Find a node", autocomplete: "off", spellcheck: "false", "data-search": true,
      onfocus: () => options.replaceChildren(...draft.nodes.map(node => h("option", { value: node.id, label: node.type }))),
      oninput: () => { if (draft.node(field.value)) find(field.value) },
      onkeydown: event => {
        if (event.key !== "Enter") return
        event.preventDefault()
        const word = field.value.trim().toLowerCase()
        const hit = word && draft.nodes.find(node => String(node.id).toLowerCase().includes(word) || String(node.type).toLowerCase() === word)
        if (hit) find(hit.id)
        else this.status.textContent = this.live.textContent = `There is no node “${field.value}”.`
      } })
    const find = id => {
      field.value = this.status.textContent = ""
      if (this.view === "graph") { this.graph.go(id); this.graph.canvas.focus({ preventScroll: true }) } else draft.select(id)
      if (this.view === "json") this.#goto(`/nodes/${draft.index(id)}`)
    }
    const element = h("div.find", {}, field, options)
    const show = () => { element.hidden = draft.nodes.length < 10 }
    draft.on("change", show)
    show()
    return element
  }

  // #keep holds on to unsaved work, and lets the form be sent only where it will arrive: with a server
  // that answers, for somebody who is signed in, without errors.
  #keep({ name, user }) {
    const { draft } = this, form = this.closest("form"), kept = new Kept(form, { user, version: form.elements.expected_version?.value })
    if (name) kept.arrived(name)
    const saved = this.area.value.replace(/^\n/, "")
    const before = kept.read(saved)
    let timer
    if (before) {
      this.#replace(before.config, "input.restore")
      const gone = new Date(before.at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })
      this.notice("busy", "history", `What was not saved at ${gone} is back.`, h("p.actions", {}, action("trash-2", "Throw it away", () => {
        this.#replace(saved, "input.restore")
        clearTimeout(timer)
        kept.drop()
      }, { text: "Throw it away", kind: ".btn-small" })))
    } else if (form.hasAttribute("data-changed")) kept.write(draft.text)
    form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => kept.write(draft.text), 500) })
    let sending = false
    form.addEventListener("submit", async event => {
      clearTimeout(timer)
      if (sending) return
      event.preventDefault()
      if (this.asked) return
      this.asked = true
      try {
        const errors = (await draft.checked()).filter(issue => issue.severity === "error")
        if (errors.length) {
          this.notice("bad", "circle-x", h("strong", {}, "Not saved. "), errors.length === 1 ? errors[0].message : `${errors.length} errors: ${errors[0].message}`)
          this.#open(errors[0])
          return
        }
        sending = true
        kept.sent(draft.text)
        form.action = form.action.replace(/#.*/, "") + location.hash // the view stays the same
        form.requestSubmit()
      } catch (error) {
        kept.write(draft.text)
        this.notice("bad", "unplug", h("strong", {}, "Not saved. "), error.message, error.status === 401 && h("p.actions", {}, h("a.btn.btn-small", { href: "/login", target: "_blank" }, "Sign in in another tab")))
      } finally {
        this.asked = false
      }
    })
  }

  // notice says something above the views, until the next change.
  notice(tone, sign, ...content) {
    this.noticed = h("div.note", { "data-tone": tone, role: tone === "bad" ? "alert" : "status" }, icon(sign), h("div", {}, content))
    this.#problems()
  }

  #replace(text, event) { this.code.dispatch({ changes: { from: 0, to: this.code.state.doc.length, insert: text }, userEvent: event }) }

  show(name, { quiet = false } = {}) {
    if (!this.parts[name]) name = "graph"
    this.view = name
    for (const [other, part] of Object.entries(this.parts)) part.hidden = other !== name
    for (const tab of this.tabs.children) {
      const current = tab.id === `tab-${name}`
      tab.setAttribute("aria-selected", String(current))
      tab.tabIndex = current ? 0 : -1
    }
    this.graphTools.hidden = name !== "graph"
    if (name === "list") this.list.show()
    if (name === "graph") this.graph.draw()
    if (name === "json") {
      this.code.requestMeasure()
      const at = this.draft.index(this.draft.selected[0])
      if (at >= 0 && !quiet) this.#goto(`/nodes/${at}`)
    }
    if (!quiet) history.replaceState(null, "", `#view=${name}`)
  }

  #tabKey(event, name) {
    const at = views.findIndex(([other]) => other === name), by = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (!by) return
    event.preventDefault()
    const [next] = views[(at + by + views.length) % views.length]
    this.show(next)
    document.getElementById(`tab-${next}`).focus()
  }

  #keys(event) {
    if (!(event.ctrlKey || event.metaKey) || !/^[zy]$/i.test(event.key) || event.target.closest(".cm-editor")) return
    event.preventDefault()
    if (/y/i.test(event.key) || event.shiftKey) this.draft.redo()
    else this.draft.undo()
  }

  #sync() {
    this.area.value = this.draft.text
    this.closest("form").dispatchEvent(new Event("input"))
  }

  // The inspector shows the open node; without one, what holds for the whole document.
  #inspect() {
    const { draft } = this, [id] = draft.selected
    if (draft.broken) return
    if (this.form && this.shown === (id ?? "") && this.form.update() !== false) { /* it has followed */ }
    else if (this.form?.id && this.form.id === id && this.form.update()) this.#headline(id)
    else {
      this.form?.destroy()
      if (id) {
        this.form = new NodeForm(draft, id, { help: this.help })
        this.inspector.replaceChildren(this.head = h("header"), this.form.element)
        this.#headline(id)
      } else {
        this.form = new Form(draft, { root: [], schema: draft.schema.document, skip: documentHead, help: this.help })
        this.inspector.replaceChildren(h("header", {}, h("h2", {}, "Pipeline")), h("p.muted", {}, "Open a node to change it. Drag from the end of a node to connect it, or use Next in its settings."), this.form.element)
      }
    }
    if (this.shown !== (id ?? "")) {
      this.shown = id ?? ""
      if (id && this.view === "graph") this.live.textContent = this.graph.describe(id)
    }
    if (draft.focus && this.view === "graph") { const at = draft.focus; draft.focus = ""; queueMicrotask(() => this.#focusInspector(at)) }
  }

  #headline(id) {
    const node = this.draft.node(id)
    this.head.replaceChildren(icon(this.schema.type(node.type)?.icon ?? "circle-dot"), h("h2", {}, id), nodeActions(this.draft, id))
  }

  #focusInspector(at) { this.form?.focus(at) }

  #problems() {
    const { draft } = this
    mark(this.code, draft.issues)
    const errors = draft.issues.filter(issue => issue.severity === "error").length, warnings = draft.issues.length - errors
    const [tone, sign, text] = draft.unreachable ? ["warn", "unplug", draft.unreachable] : errors ? ["bad", "circle-x", `${errors} ${errors === 1 ? "error" : "errors"}`] : warnings ? ["warn", "triangle-alert", `${warnings} ${warnings === 1 ? "warning" : "warnings"}`] : ["good", "circle-check", "Valid"]
    this.verdict.replaceChildren(h("span.badge", { "data-tone": tone }, icon(sign), text))
    this.verdict.disabled = !draft.issues.length
    this.parts.graph.inert = this.parts.list.inert = draft.broken
    this.problems.replaceChildren(
      h("ul.issues", {}, draft.issues.map(issue => h("li", {}, h("button", { type: "button", "data-tone": issue.severity === "error" ? "bad" : "warn", onclick: () => this.#open(issue) },
        icon(issue.severity === "error" ? "circle-x" : "triangle-alert"), h("span.what", {}, h("span.sr-only", {}, `${issue.severity}: `), issue.message, h("span.where", {}, h("code", {}, issue.path || "document"))))))))
    const mend = draft.converted ? action("braces", "Convert to JSON", () => this.#replace(draft.converted, "input.convert"), { text: "Convert to JSON", kind: ".btn-small" })
      : action("braces", "Go to the place", () => { this.show("json", { quiet: true }); this.#goto("") }, { text: "Go to the place", kind: ".btn-small" })
    this.banner.replaceChildren(...[this.noticed, draft.broken && h("div.note", { "data-tone": draft.converted ? "busy" : "warn" }, icon(draft.converted ? "info" : "triangle-alert"),
      h("div", {}, draft.converted ? "This is YAML. As JSON it can be edited in the graph and the list." : "This is not valid JSON: graph and list show it as it was, until it is mended.", mend && h("p.actions", {}, mend)))].filter(Boolean))
  }

  // #open leads to what an issue is about, in the view that is open.
  #open(issue) {
    const [, list, index] = issue.path.split("/")
    const id = list === "nodes" ? this.draft.doc?.nodes?.[Number(index)]?.id : undefined
    if (this.view === "json" || this.draft.broken || id === undefined && list === "nodes") { this.show("json", { quiet: true }); this.#goto(issue.path); return }
    this.draft.select(id, { focus: issue.path })
  }

  #goto(path) {
    const place = placeOf(this.draft.text, path)
    this.code.focus()
    this.code.dispatch({ selection: { anchor: place.from }, scrollIntoView: true })
  }

  // #merge shows what somebody else saved against the draft; each difference can be taken over.
  #merge(theirs) {
    this.code.extend(unifiedMergeView({ original: theirs.trim(), mergeControls: (type, act) => h("button.btn.btn-small", { type: "button", onmousedown: act, onkeydown: event => { if (event.key === "Enter" || event.key === " ") act(event) } }, type === "reject" ? "Take theirs" : "Keep mine"), gutter: true, highlightChanges: true }))
  }
})

