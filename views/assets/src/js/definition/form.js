// Forms from JSON Schemas. A form is planned first (which fields, at which pointers) and built from
// the plan; a change of the document that leaves the plan as it is only changes values, so that the
// field one types in stays as it is.
import { icon } from "../icon.js"
import { action, h, unique } from "./dom.js"
import { expressionView } from "./code.js"
import { branch, kindOf, resolve } from "./schema.js"
import { get, pointer, print, read } from "./text.js"

const own = ["id", "type"] // the head of a node's form edits these
export const documentHead = ["version", "nodes", "description"] // of a document: seen elsewhere

// Form edits the value at root in the draft, by its schema.
export class Form {
  constructor(draft, { root, schema, skip = [], node, fold = [], help }) {
    Object.assign(this, { draft, root, schema, skip: [...skip, ...own], node, fold, help })
    this.element = h("div.schema-form")
    this.update()
  }

  // update follows the document; root may have moved to another place.
  update(root = this.root, schema = this.schema) {
    this.root = root
    this.schema = schema
    const value = this.draft.get(root)
    const plan = this.#plan(this.schema, value, [], true)
    const signature = JSON.stringify(plan, (key, v) => key === "schema" ? undefined : v)
    if (signature !== this.signature) {
      this.signature = signature
      this.#keepFocus(() => {
        this.leaves?.forEach(leaf => leaf.destroy?.())
        this.leaves = []
        this.element.replaceChildren(...this.#build(plan.fields))
      })
    }
    for (const leaf of this.leaves) leaf.set(get(value, leaf.path))
    this.mark()
  }

  // mark shows what the server says at the fields.
  mark() {
    const base = pointer(this.root)
    for (const leaf of this.leaves) {
      const issues = this.draft.issuesAt(base + pointer(leaf.path), leaf.deep)
      leaf.problem.replaceChildren(...issues.map(issue => h("span", { "data-tone": issue.severity === "error" ? "bad" : "warn" }, icon(issue.severity === "error" ? "circle-x" : "triangle-alert"), issue.message)))
      leaf.mark?.(issues)
      control(leaf)?.setAttribute("aria-invalid", String(issues.some(issue => issue.severity === "error")))
    }
  }

  focus(at) {
    const base = pointer(this.root)
    const path = at?.startsWith(base + "/") ? at.slice(base.length) : undefined
    const field = path && this.leaves.findLast(leaf => path === pointer(leaf.path) || path.startsWith(pointer(leaf.path) + "/"))
    const target = field ?? this.leaves[0]
    target?.element.closest("details")?.setAttribute("open", "")
    if (target?.focus) target.focus()
    else if (target) control(target, ", button")?.focus()
  }

  #keepFocus(change) {
    const active = this.element.contains(document.activeElement) ? document.activeElement.closest("[data-at]")?.dataset.at : undefined
    change()
    const leaf = active !== undefined && this.leaves.find(leaf => pointer(leaf.path) === active)
    if (leaf) control(leaf, ", button")?.focus()
  }

  #plan(schema, value, path, top) {
    const shape = resolve(schema, value)
    const fields = []
    for (const [name, s] of Object.entries(shape.properties ?? {})) {
      if (top && this.skip.includes(name) || s === false) continue
      const v = value?.[name]
      const field = { name, path: [...path, name], schema: s, kind: kindOf(s, v), required: shape.required?.includes(name) || undefined }
      if (field.kind === "json" && s.type === "object" && v === undefined) continue // its settings depend on what is chosen beside it
      if (field.kind === "group") Object.assign(field, this.#plan(s, v, field.path, false))
      else if (field.kind === "list") field.items = (Array.isArray(v) ? v : []).map((item, i) => this.#item(s.items, item, [...field.path, i]))
      else if (field.kind === "map") field.items = Object.entries(v && typeof v === "object" && !Array.isArray(v) ? v : {}).map(([key, item]) => ({ key, ...this.#item(s.additionalProperties, item, [...field.path, key]) }))
      else if (field.kind === "choice") Object.assign(field, this.#alternative(s, v, field.path))
      if (["nodes", "node", "targets", "next"].includes(field.kind)) field.choices = this.#choices(field.kind)
      if (field.kind === "next") field.outcomes = v && typeof v === "object" && !Array.isArray(v) ? Object.keys(v) : null
      fields.push(field)
    }
    return { fields }
  }

  #item(schema, value, path) {
    const kind = kindOf(schema, value)
    const item = { path, schema, kind }
    if (kind === "group") Object.assign(item, this.#plan(schema, value, path, false))
    if (kind === "choice") Object.assign(item, this.#alternative(schema, value, path))
    if (["node", "targets"].includes(kind)) item.choices = this.#choices(kind)
    return item
  }

  #alternative(schema, value, path) {
    const chosen = branch(schema, value)
    return { chosen: schema.anyOf.indexOf(chosen), inner: this.#item(chosen, value, path) }
  }

  #choices(kind) {
    if (kind === "node" || kind === "nodes") return this.draft.upstream(this.node)
    return this.draft.nodes.map(node => node.id).filter(id => id !== this.node)
  }

  // Rare settings of a node stand folded at the end.
  #build(fields) {
    const rare = fields.filter(field => this.fold.includes(field.name))
    const out = fields.filter(field => !rare.includes(field)).map(field => this.#field(field))
    if (rare.length) out.push(h("details.more", { open: this.opened, ontoggle: event => { this.opened = event.target.open } }, h("summary", {}, "More settings"), rare.map(field => this.#field(field))))
    return out
  }

  #set(path, value) { this.draft.set([...this.root, ...path], value, this.root.length) }

  #field(field) {
    const title = field.schema.title ?? field.name
    if (field.kind === "group" && field.name === "config" && this.node !== undefined) return h("div.flat", {}, field.fields.map(inner => this.#field(inner)))
    if (field.kind === "group") return h("fieldset.group", {}, h("legend", {}, title), this.#hint(field), field.fields.map(inner => this.#field(inner)))
    if (field.kind === "list" || field.kind === "map") return this.#rows(field, title)
    if (field.kind === "choice") return this.#alternatives(field, title)
    return this.#leaf(field, title)
  }

  #hint(field, id) {
    const text = field.schema.description
    return text ? h("span.hint", { id }, text) : null
  }

  #leaf(field, title, { bare = false } = {}) {
    const id = unique("f"), hint = `${id}-hint`, problem = h("span.problems", { id: `${id}-problems` })
    const make = widgets[field.kind] ?? widgets.json
    const described = [field.schema.description && !bare ? hint : "", `${id}-problems`].filter(Boolean).join(" ")
    const leaf = make.call(this, { field, id, label: title, described, set: value => this.#set(field.path, value) })
    Object.assign(leaf, { path: field.path, problem, deep: !["group"].includes(field.kind) })
    this.leaves.push(leaf)
    const many = ["several", "nodes", "targets", "next", "flag"].includes(field.kind)
    const head = bare ? null : many ? h("legend.label", {}, title) : h(leaf.labelled ? "label" : "span.label", leaf.labelled ? { for: id } : {}, title, field.required ? null : undefined)
    const box = h(many ? "fieldset.field" : "div.field", { "data-at": pointer(field.path) }, field.kind === "flag" ? null : head, leaf.element, bare ? null : this.#hint(field, hint), problem)
    if (this.help) { const more = this.help([...this.root, ...field.path], field); if (more) box.append(more) }
    return box
  }

  #rows(field, title) {
    const list = field.kind === "list"
    const box = h("fieldset.group", { "data-at": pointer(field.path) }, h("legend", {}, title), this.#hint(field))
    field.items.forEach((item, i) => {
      const label = list ? `${title} ${i + 1}` : item.key
      const name = list ? null : h("input.input.key", { value: item.key, "aria-label": `Name of ${item.key}`, onchange: event => this.#rename(field.path, item.key, event.target.value) })
      box.append(h("div.entry", {}, name, this.#inside(item, label),
        h("div.entry-actions", {},
          list && i > 0 && action("arrow-up", `Move ${label} up`, () => this.#swap(field.path, i, i - 1), { kind: ".btn-quiet" }),
          action("x", `Remove ${label}`, () => this.#set(item.path, undefined), { kind: ".btn-quiet" }))))
    })
    const inner = list ? field.schema.items : field.schema.additionalProperties
    box.append(h("div", {}, action("plus", `Add to ${title}`, () => {
      const value = this.draft.get([...this.root, ...field.path])
      if (list) this.#set(field.path, [...(Array.isArray(value) ? value : []), fresh(inner)])
      else {
        let key = "name"
        for (let n = 2; value && key in value; n++) key = `name_${n}`
        this.#set(field.path, { ...(value ?? {}), [key]: fresh(inner) })
      }
    }, { text: "Add", kind: ".btn-small" })))
    const problem = h("span.problems")
    this.leaves.push({ path: field.path, problem, element: box, set() {}, focus: () => box.querySelector("button")?.focus() })
    box.append(problem)
    return box
  }

  #inside(item, label) {
    if (item.kind === "group") return h("div.entry-fields", {}, item.fields.map(inner => this.#field(inner)))
    if (item.kind === "choice") return this.#alternatives({ ...item, schema: item.schema }, label, true)
    return this.#leaf(item, label, { bare: true })
  }

  // A value that can be written in several ways: a choice of the way, and its field.
  #alternatives(field, title, bare) {
    const options = field.schema.anyOf.map((option, i) => h("option", { value: i, selected: i === field.chosen }, option.title ?? option.description?.replace(/\.$/, "") ?? Object.values(option.properties ?? {})[0]?.description?.replace(/\.$/, "") ?? option.type))
    const pick = h("select.input", { "aria-label": `How ${title} is written`, onchange: event => this.#set(field.path, fresh(field.schema.anyOf[event.target.value])) }, options)
    return h("div.field.choice", { "data-at": pointer(field.path) }, bare ? null : h("span.label", {}, title), pick, this.#inside(field.inner, title), bare ? null : this.#hint(field))
  }

  #rename(path, from, to) {
    const value = this.draft.get([...this.root, ...path])
    if (!to || to === from || to in value) return
    this.#set(path, Object.fromEntries(Object.entries(value).map(([key, v]) => [key === from ? to : key, v])))
  }

  #swap(path, a, b) {
    const value = [...this.draft.get([...this.root, ...path])]
    ;[value[a], value[b]] = [value[b], value[a]]
    this.#set(path, value)
  }

  destroy() { this.leaves.forEach(leaf => leaf.destroy?.()) }
}

// control is what one types in or chooses from.
function control(leaf, more = "") {
  const what = "input, select, textarea, .cm-content" + more
  return leaf.element.matches(what) ? leaf.element : leaf.element.querySelector(what)
}

// fresh is what a new entry begins with.
function fresh(schema) {
  if (schema.anyOf && !schema.properties) return fresh(schema.anyOf[0])
  if (schema.default !== undefined) return schema.default
  if (schema.enum) return schema.enum[0]
  switch (schema.type) {
    case "object": return Object.fromEntries((schema.required ?? []).map(name => [name, fresh(schema.properties?.[name] ?? {})]))
    case "array": return []
    case "integer": case "number": return schema.minimum ?? 0
    case "boolean": return false
  }
  return ""
}

const shown = value => value === undefined || value === null ? "" : typeof value === "object" && value.text === undefined ? print(value) : String(value?.text ?? value)

// reachable builds a text input that follows the document unless one is typing in it.
function input(element) {
  return { element, labelled: true, set(value) { const text = shown(value); if (element.value !== text && document.activeElement !== element) element.value = text } }
}

const widgets = {
  text({ field, id, described, set }) {
    return input(h("input.input", { id, type: "text", "aria-describedby": described, placeholder: shown(field.schema.default ?? field.schema.examples?.[0]), autocomplete: "off", spellcheck: "false", oninput: e => set(e.target.value || (field.required ? "" : undefined)) }))
  },
  lines({ id, described, set }) {
    return input(h("textarea.input", { id, "aria-describedby": described, oninput: e => set(e.target.value || undefined) }))
  },
  number({ field, id, described, set }) {
    const { minimum: min, maximum: max } = field.schema
    return input(h("input.input", { id, type: "number", min, max, step: field.schema.type === "integer" ? 1 : "any", "aria-describedby": described, placeholder: shown(field.schema.default),
      oninput: e => { if (e.target.value === "") set(undefined); else if (Number.isFinite(e.target.valueAsNumber)) set(e.target.valueAsNumber) } }))
  },
  flag({ field, id, described, label, set }) {
    const otherwise = field.schema.default ?? false
    const box = h("input", { id, type: "checkbox", "aria-describedby": described, onchange: e => set(e.target.checked === otherwise && !field.required ? undefined : e.target.checked) })
    return { element: h("label.check", {}, box, label), set(value) { box.checked = value ?? otherwise } }
  },
  select({ field, id, described, set }) {
    const { enum: choices, default: usual } = field.schema
    const none = field.required ? [] : [h("option", { value: "" }, usual === undefined ? "–" : `${usual} (default)`)]
    const element = h("select.input", { id, "aria-describedby": described, onchange: e => set(e.target.value === "" ? undefined : choices[Number(e.target.value)]) }, none, choices.map((choice, i) => h("option", { value: i }, String(choice))))
    return { element, labelled: true, set(value) {
      const at = choices.findIndex(choice => choice === value)
      element.value = at < 0 ? "" : String(at)
    } }
  },
  several({ field, set }) { return boxes(field.schema.items.enum, value => set(value)) },
  nodes({ field, set }) { return field.choices.length ? boxes(field.choices, value => set(value)) : nothing("No node runs before this one.") },
  targets({ field, set }) { return field.choices.length ? boxes(field.choices, value => set(value?.length === 1 ? value[0] : value)) : nothing("There is no other node yet.") },
  node({ field, id, described, set }) {
    const element = h("select.input", { id, "aria-describedby": described, onchange: e => set(e.target.value || undefined) })
    return { element, labelled: true, set(value) {
      const ids = value && !field.choices.includes(value) ? [...field.choices, value] : field.choices
      element.replaceChildren(h("option", { value: "" }, "–"), ...ids.map(id => h("option", { value: id }, id)))
      element.value = value ?? ""
    } }
  },
  // A name that exists, or will.
  named({ field, id, described, set }) {
    const list = unique("names"), { format, default: usual } = field.schema
    const known = format === "channel" ? this.draft.channels.map(channel => h("option", { value: channel.name, label: channel.driver }))
      : (format === "definition" ? this.draft.definitions : Intl.supportedValuesOf("timeZone")).map(name => h("option", { value: name }))
    const element = h("input.input", { id, type: "text", list, "aria-describedby": described, autocomplete: "off", spellcheck: "false", placeholder: usual, oninput: e => set(e.target.value || (field.required ? "" : undefined)) })
    const leaf = input(element)
    leaf.element = h("div", {}, element, h("datalist", { id: list }, known))
    return leaf
  },
  secret({ id, described, set }) {
    const element = h("input.input", { id, type: "password", autocomplete: "new-password", "aria-describedby": described, oninput: e => set(e.target.value || undefined) })
    return { element, labelled: true, set(value) {
      if (document.activeElement === element) return
      const stored = value !== undefined && typeof value !== "string"
      element.value = ""
      element.placeholder = value?.env ? `From the environment: ${value.env}` : stored ? "Stored. Type to replace it" : value ? "Written; it is sealed when you save" : ""
    } }
  },
  // Where a node leads: to ids, or by outcome.
  next({ field, set }) {
    if (!field.choices.length) return nothing("There is no other node yet.")
    if (!field.outcomes) {
      const ids = boxes(field.choices, value => set(value?.length === 1 ? value[0] : value))
      if (this.draft.schema.type(this.draft.get([...this.root, "type"]))?.rules?.next) return ids
      const split = action("git-branch", "Lead on by outcome", () => set({ true: "" }), { text: "By outcome", kind: ".btn-small.btn-quiet" })
      return { ...ids, element: h("div", {}, ids.element, split) }
    }
    const parts = field.outcomes.map(outcome => {
      const ids = boxes(field.choices, value => set({ ...this.draft.get([...this.root, ...field.path]), [outcome]: value === undefined ? "" : value.length === 1 ? value[0] : value }))
      const name = h("input.input.key", { value: outcome, "aria-label": `Outcome ${outcome}`, onchange: e => this.renameOutcome(field.path, outcome, e.target.value) })
      const drop = action("x", `Remove the outcome ${outcome}`, () => {
        const rest = { ...this.draft.get([...this.root, ...field.path]) }
        delete rest[outcome]
        set(Object.keys(rest).length ? rest : undefined)
      }, { kind: ".btn-quiet" })
      return { outcome, ids, element: h("div.entry", { role: "group", "aria-label": `Outcome ${outcome}` }, name, ids.element, h("div.entry-actions", {}, drop)) }
    })
    const add = action("plus", "Add an outcome", () => {
      const value = this.draft.get([...this.root, ...field.path])
      let name = ["true", "false"].find(name => !(name in value)) ?? "outcome"
      for (let n = 2; name in value; n++) name = `outcome_${n}`
      set({ ...value, [name]: "" })
    }, { text: "Add outcome", kind: ".btn-small" })
    return { element: h("div.outcomes", {}, parts.map(part => part.element), add), set(value) { for (const part of parts) part.ids.set(value?.[part.outcome]) } }
  },
  json({ id, described, set }) {
    const element = h("textarea.input.mono", { id, "aria-describedby": described, spellcheck: "false", onchange: e => {
      const value = e.target.value.trim() ? read(e.target.value) : null
      e.target.setCustomValidity(value === undefined ? "This is not valid JSON." : "")
      if (value !== undefined) set(value ?? undefined)
      else e.target.reportValidity()
    } })
    return { element, labelled: true, set(value) { if (document.activeElement !== element) element.value = value === undefined ? "" : print(value) } }
  },
  expression: expression("cel"),
  template: expression("template"),
}

function expression(format) {
  return function ({ field, label, described, set }) {
    const view = expressionView({
      value: "", format, label, describedby: described, hint: field.schema.examples?.[0], change: text => set(text || (field.required ? "" : undefined)),
      complete: path => this.draft.names(this.node, path, this.root, field),
    })
    view.element.classList.add("expression")
    return { element: view.element, focus: view.focus, destroy: view.destroy, set: value => view.set(typeof value === "string" ? value : ""), mark: issues => view.mark(issues.filter(issue => issue.line)) }
  }
}

Form.prototype.renameOutcome = function (path, from, to) {
  const at = [...this.root, ...path], value = this.draft.get(at)
  if (!to || to === from || to in value) return
  this.draft.set(at, Object.fromEntries(Object.entries(value).map(([key, v]) => [key === from ? to : key, v])), this.root.length)
}

const few = 12 // choices that are all shown

// boxes lets one pick several of a few words; what is written but not offered stays.
function boxes(choices, change) {
  if (choices.length > few) return picker(choices, change)
  let now = []
  const items = choices.map(choice => {
    const box = h("input", { type: "checkbox", onchange: () => {
      const rest = box.checked ? [...now, choice] : now.filter(other => other !== choice)
      change(rest.length ? rest : undefined)
    } })
    return { choice, box, element: h("label.check", {}, box, String(choice)) }
  })
  return {
    element: h("div.boxes", {}, items.map(item => item.element)),
    set(value) {
      now = value === undefined || value === null || value === "" ? [] : [value].flat()
      for (const item of items) item.box.checked = now.includes(item.choice)
    },
  }
}

// picker lets one pick several of many: those that are, and a field to add one.
function picker(choices, change) {
  let now = []
  const list = unique("choices")
  const add = () => {
    if (!choices.includes(field.value) || now.includes(field.value)) return
    const name = field.value
    field.value = ""
    change([...now, name])
  }
  const field = h("input.input", { type: "search", list, placeholder: "Add a node", "aria-label": "Add a node", autocomplete: "off", spellcheck: "false", oninput: add, onkeydown: event => { if (event.key === "Enter") event.preventDefault() } })
  const shown = h("div.boxes")
  return {
    element: h("div", {}, shown, field, h("datalist", { id: list }, choices.map(choice => h("option", { value: choice })))),
    set(value) {
      now = value === undefined || value === null || value === "" ? [] : [value].flat()
      shown.replaceChildren(...now.map(choice => h("label.check", {}, h("input", { type: "checkbox", checked: true, onchange: () => {
        const rest = now.filter(other => other !== choice)
        change(rest.length ? rest : undefined)
        field.focus()
      } }), String(choice))))
    },
  }
}

function nothing(text) { return { element: h("span.faint", {}, text), set() {} } }

