// The one state of the editor: the text of the document, held by CodeMirror so that its history is
// the undo of every view; what is read from it; what the server says about it; which node is open.
import { redo, undo } from "@codemirror/commands"
import { copy, difference, get, pathAt, print, read, set } from "./text.js"
import { names } from "./names.js"
import { targets, texts } from "./schema.js"

export class Draft extends EventTarget {
  constructor(schema, server, { name, channels, definitions }) {
    super()
    this.name = name
    this.definitions = definitions
    this.schema = schema
    this.channels = channels
    this.issues = server.issues
    this.boxes = server.boxes
    this.lines = server.lines
    this.down = server.down
    this.converted = server.json
    this.selected = []
    this.moved = new Map() // places people gave to nodes, by id; forgotten by arrange
    this.trial = null // what the last dry run showed
  }

  // again asks when the reader comes back from signing in elsewhere.
  again() { if (this.unreachable) this.#ask(0) }

  // attach takes CodeMirror's view, whose text is the state from now on.
  attach(view) {
    this.view = view
    this.#read()
  }

  get text() { return this.view.state.doc.toString() }
  get nodes() { return Array.isArray(this.doc?.nodes) ? this.doc.nodes.filter(node => node && typeof node === "object") : [] }
  // changed is told by the view after every change of the text, whoever made it.
  changed() {
    this.#read()
    const ids = new Set(this.nodes.map(node => node.id))
    this.selected = this.selected.filter(id => ids.has(id))
    this.emit("change")
    this.#ask(this.quick ? 0 : 300)
    this.quick = false
  }

  // What cannot be read leaves the document as it was last readable, for the graph and the list to show.
  #read() {
    const value = read(this.text)
    this.broken = value === null || typeof value !== "object" || Array.isArray(value)
    if (this.broken) return
    this.doc = value
    this.ways = undefined
  }

  emit(name) { this.dispatchEvent(new Event(name)) }
  on(names, call) { for (const name of names.split(" ")) this.addEventListener(name, call) }

  // edit changes a copy of the document and makes its difference a change of the text.
  edit(change, { event = "input.form", quick = false } = {}) {
    if (this.broken) return
    const doc = copy(this.doc)
    change(doc)
    const change_ = difference(this.text, print(doc))
    if (change_.from === change_.to && !change_.insert) return
    this.quick = quick
    this.view.dispatch({ changes: change_, userEvent: event })
  }

  set(path, value, keep) { this.edit(doc => set(doc, path, value, keep)) }
  get(path) { return get(this.doc, path) }
  undo() { this.quick = true; undo(this.view) }
  redo() { this.quick = true; redo(this.view) }

  index(id) { return this.doc?.nodes?.findIndex?.(node => node?.id === id) ?? -1 }
  node(id) { return this.nodes.find(node => node.id === id) }

  select(ids, { focus = "" } = {}) {
    this.selected = [ids].flat().filter(id => id !== undefined)
    this.focus = focus
    this.emit("select")
  }

  // follow opens the node in which the text cursor is.
  follow(offset) {
    const [list, index] = pathAt(this.text, offset)
    const id = list === "nodes" ? this.doc?.nodes?.[index]?.id : undefined
    if (id !== undefined && this.selected[0] !== id) this.select(id)
  }

  // edges of the document as it is written: [{from, to, label, path}], path below the document.
  edges() { return this.ways ??= this.#edges() }

  #edges() {
    const edges = []
    this.doc?.nodes?.forEach?.((node, i) => {
      if (!node || typeof node !== "object") return
      for (const t of targets(this.schema.of(node), node)) edges.push({ from: node.id, to: t.to, label: t.label, path: ["nodes", i, ...t.path] })
    })
    return this.sequence ? [...this.#chain(edges), ...edges] : edges
  }

  // sequence: no node says what is next, so they run one after another.
  get sequence() {
    return this.nodes.every(node => node.next === undefined && !targets(this.schema.of(node), node).some(t => t.path[0] === "config"))
  }

  #chain(edges) {
    const aside = new Set(edges.map(edge => edge.to))
    const line = this.nodes.filter(node => !aside.has(node.id))
    return line.slice(1).map((node, i) => ({ from: line[i].id, to: node.id, label: "" }))
  }

  // upstream are the ids of the nodes that run before one.
  upstream(id) {
    const edges = this.edges(), found = new Set(), queue = [id]
    while (queue.length) {
      const at = queue.pop()
      for (const edge of edges) if (edge.to === at && !found.has(edge.from)) { found.add(edge.from); queue.push(edge.from) }
    }
    found.delete(id)
    return this.nodes.map(node => node.id).filter(other => found.has(other))
  }

  // refuses says why two nodes cannot be connected, "" if they can.
  refuses(from, to) {
    if (from === to) return "A node cannot lead to itself."
    if (this.edges().some(edge => edge.from === from && edge.to === to && !edge.label)) return `${from} leads to ${to} already.`
    if (this.upstream(from).includes(to)) return `${to} runs before ${from}: that would be a circle.`
    return ""
  }

  // connect leads from one node to another, by its next or, in a map of outcomes, by a free outcome.
  connect(from, to) {
    if (this.refuses(from, to)) return
    this.edit(doc => {
      const was = this.edges()
      if (this.sequence) explicit(doc, was)
      lead(doc.nodes.find(node => node.id === from), to, this.schema.type(this.node(from)?.type))
    }, { quick: true, event: "input.connect" })
  }

  disconnect(edges) {
    this.edit(doc => {
      if (this.sequence) explicit(doc, this.edges())
      for (const edge of edges) unlead(doc, edge)
    }, { quick: true, event: "delete.edge" })
  }

  // add makes a node of a type; it follows `after`, the open node, if there is one.
  add(type, { after = this.selected[0], place } = {}) {
    const node = { id: this.#free(type), type }
    const config = starting(this.schema.type(type)?.rules?.config)
    if (Object.keys(config).length) node.config = config
    this.edit(doc => {
      const was = this.edges(), chained = this.sequence
      doc.nodes = Array.isArray(doc.nodes) ? doc.nodes : []
      const at = doc.nodes.findIndex(other => other.id === after)
      if (chained && at >= 0 && at < doc.nodes.length - 1 || chained && place && at < 0 && doc.nodes.length) explicit(doc, was)
      doc.nodes.splice(at < 0 ? doc.nodes.length : at + 1, 0, node)
      const source = doc.nodes[at]
      if (source && !(chained && at === doc.nodes.length - 2)) lead(source, node.id, this.schema.type(source.type))
    }, { quick: true, event: "input.add" })
    if (place && this.moved.size) this.moved.set(node.id, place)
    this.select(node.id, { focus: "first" })
    return node.id
  }

  // paste adds copies of nodes; edges among them are kept, others are left behind.
  paste(nodes) {
    const names = new Map()
    const taken = new Set(this.nodes.map(node => node.id))
    for (const node of nodes) {
      const id = this.#free(node.id.replace(/_\d+$/, ""), taken)
      names.set(node.id, id)
      taken.add(id)
    }
    this.edit(doc => {
      if (this.sequence && doc.nodes?.length) explicit(doc, this.edges())
      const copies = nodes.map(copy)
      const kept = { nodes: copies }
      for (const node of copies) {
        for (const t of targets(this.schema.of(node), node).reverse()) if (!names.has(t.to)) unlead(kept, { to: t.to, path: ["nodes", copies.indexOf(node), ...t.path] })
      }
      for (const node of copies) { renameIn(node, names, this.schema); node.id = names.get(node.id) }
      doc.nodes = [...(doc.nodes ?? []), ...copies]
    }, { quick: true, event: "input.paste" })
    this.select([...names.values()])
  }

  remove(ids) {
    const gone = new Set(ids)
    this.edit(doc => {
      const was = this.edges(), chained = this.sequence
      for (const edge of was.filter(edge => edge.path && gone.has(edge.to)).reverse()) unlead(doc, edge)
      if (!chained) bridge(doc, was, gone, this.schema)
      doc.nodes = doc.nodes.filter(node => !gone.has(node.id))
      for (const node of doc.nodes) {
        for (const t of texts(this.schema.of(node), node).filter(t => t.format === "node" && gone.has(t.text) && typeof t.path.at(-1) === "number").reverse()) set(node, t.path, undefined)
      }
    }, { quick: true, event: "delete.node" })
  }

  // rename changes an id and everything that means it.
  rename(id, name) {
    if (id === name || this.node(name)) return
    const names = new Map([[id, name]])
    this.selected = this.selected.map(other => other === id ? name : other)
    if (this.moved.has(id)) this.moved.set(name, this.moved.get(id))
    this.edit(doc => {
      for (const node of doc.nodes) {
        if (node.id === id) node.id = name
        renameIn(node, names, this.schema)
      }
    }, { event: "input.rename" })
  }

  move(id, by) {
    this.edit(doc => {
      const at = doc.nodes.findIndex(node => node.id === id), to = at + by
      if (to < 0 || to >= doc.nodes.length) return
      doc.nodes.splice(to, 0, ...doc.nodes.splice(at, 1))
    }, { quick: true, event: "move.node" })
  }

  #free(base, taken = new Set(this.nodes.map(node => node.id))) {
    if (!taken.has(base)) return base
    for (let n = 2; ; n++) if (!taken.has(`${base}_${n}`)) return `${base}_${n}`
  }

  // names is what can stand behind a path of names in an expression of a node.
  names(node, path, root, field) { return names(this, root[0] === "nodes" ? node : undefined, path, field) }

  issuesAt(at, deep = false) {
    return this.issues.filter(issue => issue.path === at || deep && issue.path.startsWith(at + "/"))
  }

  arrange() {
    this.moved.clear()
    this.emit("place")
  }

  // room says how large the drawing may be; the server lets it lead to the right or down accordingly.
  room(width, height) {
    this.width = width
    this.height = height
    this.#ask(0)
  }

  // #ask lets the server check the draft; the newest question wins.
  #ask(wait) {
    clearTimeout(this.timer)
    this.timer = setTimeout(async () => {
      this.asking?.abort()
      const asking = this.asking = new AbortController()
      const text = this.text
      try {
        const answer = await post("/admin/draft", { name: this.name, config: text, width: this.width, height: this.height }, asking.signal)
        if (asking.signal.aborted || text !== this.text) return
        this.issues = answer.issues
        if (!this.broken && (answer.boxes.length || !this.nodes.length)) { // nothing is placed of what has too many nodes
          this.boxes = answer.boxes
          this.lines = answer.lines
          this.turned = this.down !== answer.down
          this.down = answer.down
        }
        this.converted = answer.json
        this.unreachable = ""
      } catch (error) {
        if (asking.signal.aborted) return
        this.unreachable = error.message
        if (error.status !== 401) this.#ask(retryAfter)
      }
      this.emit("check")
    }, wait)
  }

  // checked asks now, and throws if there is no answer.
  async checked() {
    const { issues } = await post("/admin/draft", { name: this.name, config: this.text, width: this.width, height: this.height })
    this.issues = issues
    this.emit("check")
    return issues
  }
}

const retryAfter = 3000 // an unreachable server, ms

export async function post(path, body, signal) {
  let answer
  try {
    answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body), signal })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Error("The server cannot be reached.")
  }
  const text = await answer.text()
  let content
  try { content = JSON.parse(text) } catch { content = { error: `The server answered ${answer.status}.` } }
  if (!answer.ok) throw Object.assign(new Error(answer.status === 401 ? "You are signed out. Sign in in another tab; what you wrote stays here." : content.error), { status: answer.status })
  return content
}

// explicit writes the edges of a sequence down, so that they can be changed.
function explicit(doc, edges) {
  for (const edge of edges) if (!edge.path) doc.nodes.find(node => node.id === edge.from).next = edge.to
}

// lead adds an id to what follows a node.
function lead(node, id, type) {
  const branches = type?.rules && !type.rules.next // only types without branches refuse a map
  if (node.next === undefined && branches && Array.isArray(node.config?.cases)) node.config.else = join(node.config.else, id)
  else if (node.next === undefined && branches && node.config?.expression !== undefined) node.next = { true: id }
  else if (node.next && typeof node.next === "object" && !Array.isArray(node.next)) {
    const free = ["true", "false"].find(outcome => !node.next[outcome])
    if (free) node.next[free] = id
    else node.next.false = join(node.next.false, id)
  } else node.next = join(node.next, id)
}

function join(ids, id) {
  const list = ids === undefined ? [] : [ids].flat()
  if (!list.includes(id)) list.push(id)
  return list.length === 1 ? list[0] : list
}

// unlead takes the id at an edge's path out.
function unlead(doc, edge) {
  if (!edge.path) {
    const node = doc.nodes.find(node => node.id === edge.from)
    if (node.next === edge.to) delete node.next
    return
  }
  const path = [...edge.path]
  if (typeof path.at(-1) === "number") {
    path.pop()
    const rest = get(doc, path).filter(id => id !== edge.to)
    set(doc, path, rest.length > 1 ? rest : rest[0], 2)
  } else set(doc, path, undefined, 2)
}

// bridge leads from what came before a removed node to what came after it, where that was one way.
function bridge(doc, edges, gone, schema) {
  for (const id of gone) {
    const before = edges.filter(edge => edge.to === id && !gone.has(edge.from))
    const after = edges.filter(edge => edge.from === id && !gone.has(edge.to))
    if (before.length !== 1 || after.length !== 1 || before[0].label) continue
    const node = doc.nodes.find(node => node.id === before[0].from)
    lead(node, after[0].to, schema.type(node.type))
  }
}

// renameIn replaces ids where a node leads or refers to others, and in its expressions.
function renameIn(node, names, schema) {
  for (const { text, format, path } of texts(schema.of(node), node)) {
    let now = text
    if (format === "target" || format === "node") now = names.get(text) ?? text
    else if (format === "cel" || format === "template") {
      now = text.replaceAll(/\bnodes\.([A-Za-z_]\w*)/g, (all, id) => names.has(id) ? `nodes.${names.get(id)}` : all)
        .replace(/^(\w+)\.has_errors$/, (all, id) => names.has(id) ? `${names.get(id)}.has_errors` : all)
    }
    if (now !== text) set(node, path, now)
  }
}

// starting is what a new configuration needs to have: the required settings, with their first choice.
function starting(schema) {
  const config = {}
  for (const name of schema?.required ?? []) {
    const s = schema.properties[name]
    config[name] = s.default ?? s.enum?.[0] ?? (s.type === "string" ? s.examples?.[0] ?? "" : s.type === "array" ? [] : undefined)
  }
  if (schema?.anyOf && !Object.keys(config).length) {
    for (const name of schema.anyOf[0]?.required ?? []) config[name] = schema.properties[name]?.examples?.[0] ?? ""
  }
  return config
}
