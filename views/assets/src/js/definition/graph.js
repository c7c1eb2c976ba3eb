// The graph: diagram-js draws and handles the pointer; what a gesture means goes to the draft, and the
// draft is drawn again. Keys work on the focused canvas.
import Diagram from "diagram-js"
import ConnectModule from "diagram-js/lib/features/connect"
import ConnectionPreviewModule from "diagram-js/lib/features/connection-preview"
import CreateModule from "diagram-js/lib/features/create"
import HoverFixModule from "diagram-js/lib/features/hover-fix"
import MoveModule from "diagram-js/lib/features/move"
import SelectionModule from "diagram-js/lib/features/selection"
import MoveCanvasModule from "diagram-js/lib/navigation/movecanvas"
import ZoomScrollModule from "diagram-js/lib/navigation/zoomscroll"
import BaseRenderer from "diagram-js/lib/draw/BaseRenderer"
import { h } from "./dom.js"
import { Minimap } from "./minimap.js"

const width = 184, height = 46 // views/layout
const first = 2000 // before diagram-js's own listeners
const legible = 0.5, begun = 0.8 // scales: from which on a graph can be read, and of the beginning of one that cannot

const svg = (name, attributes, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name)
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== false) element.setAttribute(key, value)
  element.append(...children)
  return element
}
const cut = (text, n) => [...text].length > n ? [...text].slice(0, n - 1).join("") + "…" : text

class Renderer extends BaseRenderer {
  static $inject = ["eventBus"]
  constructor(eventBus) { super(eventBus, 1500) }
  canRender() { return true }

  drawShape(visuals, shape) {
    const { name = "", kind = "", icon = "circle-dot", errors = 0, state } = shape.node ?? {}
    const sprite = document.querySelector('meta[name="icons"]').content
    const group = svg("g", { class: "node", "data-tone": errors ? "bad" : state?.tone, "data-off": state?.off && "" })
    group.append(
      svg("rect", { class: "box", width, height, rx: 7 }),
      svg("svg", { class: "icon", x: 12, y: 14, width: 18, height: 18, viewBox: "0 0 24 24" }, svg("use", { href: `${sprite}#${errors ? "circle-x" : state?.icon ?? icon}`, width: 24, height: 24 })),
      svg("text", { class: "title", x: 40, y: 20 }, cut(name, 17)),
      svg("text", { class: "kind", x: 40, y: 36 }, errors ? `${cut(kind, 9)} · ${errors} ${errors === 1 ? "problem" : "problems"}` : state ? `${cut(kind, 9)} · ${state.text}` : cut(kind, 20)),
      svg("title", {}, `${name}, ${kind}`))
    visuals.append(group)
    return group
  }

  drawConnection(visuals, connection) {
    const { path, end, label, labelAt, state } = connection.line ?? curve(connection.waypoints[0], connection.waypoints.at(-1), connection.down)
    const group = svg("g", { "data-state": state })
    group.append(svg("path", { class: "edge", d: path }), svg("path", { class: "tip", d: tip(end, connection.down) }))
    if (label && labelAt) group.append(svg("text", { class: "edge-label", x: labelAt.x, y: labelAt.y, "text-anchor": "middle", "dominant-baseline": "middle" }, cut(label, 12)))
    visuals.append(group)
    return group
  }

  getShapePath(shape) { return `M${shape.x},${shape.y}h${shape.width}v${shape.height}h-${shape.width}z` }
  getConnectionPath(connection) { return "M" + connection.waypoints.map(p => `${p.x},${p.y}`).join("L") }
}

const tip = (end, down) => down ? `M${end.x} ${end.y}l-4.5 -8h9z` : `M${end.x} ${end.y}l-8 -4.5v9z`

function curve(a, b, down) {
  const half = Math.max((down ? b.y - a.y : b.x - a.x) / 2, 24)
  const near = down ? { x: b.x, y: b.y - 7 } : { x: b.x - 7, y: b.y }
  const path = down ? `M${a.x} ${a.y}C${a.x} ${a.y + half} ${b.x} ${b.y - half} ${near.x} ${near.y}` : `M${a.x} ${a.y}C${a.x + half} ${a.y} ${b.x - half} ${b.y} ${near.x} ${near.y}`
  return { path, end: b, labelAt: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 } }
}

export class Graph {
  constructor(draft, { states, say, open }) {
    Object.assign(this, { draft, states, say, open })
    this.canvas = h("div.graph-canvas", { tabindex: "0", role: "application", "aria-roledescription": "graph", "aria-label": "Graph of the definition", "aria-describedby": "graph-keys" })
    const rules = { allowed: (action, context) => this.#allowed(action, context) }
    this.diagram = new Diagram({
      canvas: { container: this.canvas },
      modules: [ConnectModule, ConnectionPreviewModule, CreateModule, HoverFixModule, MoveModule, SelectionModule, MoveCanvasModule, ZoomScrollModule, {
        __init__: ["ownRenderer"], ownRenderer: ["type", Renderer],
        rules: ["value", rules], modeling: ["value", {}],
        layouter: ["value", { layoutConnection: (connection, hints) => [hints.connectionStart ?? middle(hints.source), hints.connectionEnd ?? middle(hints.target)] }],
      }],
    })
    for (const name of ["canvas", "eventBus", "elementRegistry", "elementFactory", "selection", "connect", "create", "dragging"]) this[`${name}_`] = this.diagram.get(name)
    this.canvas_.setRootElement(this.elementFactory_.createRoot({ id: "root" }))
    this.minimap = new Minimap(this.canvas_, this.eventBus_)
    this.element = h("div.graph-place", {}, this.canvas, this.minimap.element)
    this.#listen()
    draft.on("change check place", () => this.draw())
    draft.on("select", () => { this.#showSelected(); this.minimap.draw([...(this.shapes?.values() ?? [])], draft.selected) })
    draft.on("trial", () => this.draw())
    new ResizeObserver(() => this.#resized()).observe(this.canvas)
  }

  #resized() {
    if (!this.canvas.clientWidth) return
    this.canvas_.resized()
    if (this.size === this.canvas.clientWidth) return
    this.size = this.canvas.clientWidth
    this.draft.room(this.canvas.clientWidth, this.canvas.clientHeight)
    this.begin()
  }

  // place is where the node of an index is: where people put it, else where the server does.
  #place(node, i) {
    const own = this.draft.moved.get(node.id)
    if (own) return own
    const box = this.draft.boxes[i]
    if (box && this.draft.boxes.length === this.draft.nodes.length) return box
    const before = this.draft.edges().find(edge => edge.to === node.id && this.placed?.has(edge.from))
    const at = before && this.placed.get(before.from)
    return this.placed?.get(node.id) ?? (at ? { x: at.x + (this.draft.down ? 0 : width + 46), y: at.y + (this.draft.down ? height + 36 : 0) } : box ?? { x: 0, y: i * (height + 20) })
  }

  draw() {
    if (this.dragging_.context()) { this.late = true; return }
    const { draft } = this
    const places = new Map(draft.nodes.map((node, i) => [node.id, this.#place(node, i)]))
    this.placed = places
    const nodes = draft.nodes.map((node, i) => ({
      name: String(node.id ?? ""), kind: String(node.type ?? ""), icon: draft.schema.type(node.type)?.icon, place: places.get(node.id),
      errors: draft.issues.filter(issue => issue.severity === "error" && (issue.path === `/nodes/${i}` || issue.path.startsWith(`/nodes/${i}/`))).length, state: this.states(node.id),
    }))
    const edges = draft.edges().map(edge => ({ ...edge, line: this.#line(edge, places), state: this.states(edge.from, edge) }))
    const shapes = this.#shapes(nodes)
    this.#connections(edges, shapes)
    const begin = !this.shapes?.size
    this.shapes = new Map([...shapes.values()].map(shape => [shape.node.name, shape]))
    this.#showSelected()
    this.minimap.draw([...this.shapes.values()], draft.selected)
    if (begin || this.refit || draft.turned) { this.refit = draft.turned = false; this.begin() }
  }

  // #shapes draws what has changed of the nodes; the others stay as they are.
  #shapes(nodes) {
    const before = this.drawn ?? new Map(), now = new Map(), seen = new Map()
    const keyed = nodes.map(node => {
      const n = seen.get(node.name) ?? 0 // names should differ; in a draft they may not
      seen.set(node.name, n + 1)
      return [`${node.name} ${n}`, node, JSON.stringify([node, this.draft.down])]
    })
    this.quiet = true
    for (const [key, , signature] of keyed) {
      const shape = before.get(key)
      if (shape?.signature === signature) { now.set(key, shape); before.delete(key) }
    }
    for (const shape of before.values()) this.canvas_.removeShape(shape) // with its edges
    for (const [key, node, signature] of keyed) {
      if (now.has(key)) continue
      const shape = this.elementFactory_.createShape({ id: `node-${this.#next()}`, node, ...node.place, width, height })
      shape.signature = signature
      now.set(key, this.canvas_.addShape(shape))
    }
    this.quiet = false
    this.drawn = now
    return new Map(keyed.map(([key, node]) => [node.name, now.get(key)]))
  }

  #connections(edges, shapes) {
    const before = new Map(this.elementRegistry_.filter(element => element.edge).map(connection => [connection.signature, connection]))
    const { down } = this.draft
    for (const edge of edges) {
      const source = shapes.get(edge.from), target = shapes.get(edge.to)
      if (!source || !target || source === target) continue
      const line = { ...(edge.line ?? curve(exit(source, down), entry(target, down), down)), label: edge.label, state: edge.state }
      const signature = JSON.stringify([edge, line, source.id, target.id])
      if (before.has(signature)) { before.delete(signature); continue }
      const connection = this.elementFactory_.createConnection({ id: `edge-${this.#next()}`, source, target, edge, line, down, waypoints: [exit(source, down), entry(target, down)] })
      connection.signature = signature
      this.canvas_.addConnection(connection, undefined, 0)
    }
    this.quiet = true
    for (const connection of before.values()) this.canvas_.removeConnection(connection)
    this.quiet = false
  }

  #next() { return this.round = (this.round ?? 0) + 1 }

  // #line is the server's way of an edge, while both ends are where the server put them.
  #line(edge, places) {
    const { draft } = this
    if (draft.moved.has(edge.from) || draft.moved.has(edge.to) || draft.boxes.length !== draft.nodes.length) return undefined
    const line = draft.lines.find(line => line.from === edge.from && line.to === edge.to && (line.label ?? "") === edge.label)
    return line?.path && places.has(edge.from) ? { path: line.path, end: { x: line.end_x, y: line.end_y }, labelAt: { x: line.label_x, y: line.label_y } } : undefined
  }

  #allowed(action, { source, target, shape, shapes }) {
    if (action === "connection.create") {
      if (!source?.node || !target?.node) return null
      if (this.from && source !== this.from) return false // diagram-js would turn the edge round
      const why = this.draft.refuses(source.node.name, target.node.name)
      this.say(why)
      return !why
    }
    if (action === "shape.create") return !target || !target.node
    if (action === "elements.move") return true
    return shape || shapes ? true : null
  }

  #listen() {
    const bus = this.eventBus_
    bus.on("selection.changed", ({ newSelection }) => {
      this.edge = newSelection.find(element => element.edge)?.edge
      if (this.quiet) return
      this.draft.select(newSelection.filter(element => element.node).map(element => element.node.name))
    })
    bus.on("element.dblclick", first, ({ element }) => { if (element.node) this.open(element.node.name) })
    bus.on("connect.start", first, ({ context }) => { this.from = context.start })
    bus.on(["connect.cleanup", "shape.move.cleanup", "create.cleanup"], () => {
      this.from = undefined
      this.say("")
      if (this.late) { this.late = false; queueMicrotask(() => this.draw()) }
    })
    bus.on("connect.end", first, ({ context }) => {
      if (!context.canExecute) return false
      const { source, target } = context
      queueMicrotask(() => this.draft.connect(source.node.name, target.node.name))
      return true
    })
    bus.on("shape.move.end", first, ({ context }) => {
      const delta = { ...context.delta }
      for (const shape of this.shapes.values()) if (!this.draft.moved.has(shape.node.name)) this.draft.moved.set(shape.node.name, { x: shape.x, y: shape.y })
      for (const shape of context.shapes) if (shape.node) this.draft.moved.set(shape.node.name, { x: Math.round(shape.x + delta.x), y: Math.round(shape.y + delta.y) })
      queueMicrotask(() => this.draft.emit("place"))
      return true
    })
    bus.on("create.end", first, event => {
      if (!event.context.canExecute) return false
      const place = { x: Math.round(event.x - width / 2), y: Math.round(event.y - height / 2) }, type = event.context.shape.node.kind
      queueMicrotask(() => {
        for (const shape of this.shapes.values()) if (!this.draft.moved.has(shape.node.name)) this.draft.moved.set(shape.node.name, { x: shape.x, y: shape.y })
        this.draft.add(type, { after: null, place })
        this.draft.emit("place")
      })
      return true
    })
    // A drag that begins near the end of a node, where its edges leave, draws an edge.
    bus.on("element.mousedown", first, event => {
      const shape = event.element
      if (!shape.node || event.originalEvent.button !== 0) return
      const at = this.#toCanvas(event.originalEvent)
      const port = exit(shape, this.draft.down)
      if (Math.hypot(at.x - port.x, at.y - port.y) > 16) return
      this.connect_.start(event.originalEvent, shape, port)
      return true
    })
    bus.on("element.hover", ({ element, gfx }) => {
      if (!element.node || this.port?.parentNode === gfx) return
      this.port?.remove()
      const down = this.draft.down
      gfx.append(this.port = svg("circle", { class: "port", cx: down ? width / 2 : width, cy: down ? height : height / 2, r: 6 }))
    })
    this.canvas.addEventListener("keydown", event => this.#key(event))
    this.canvas.addEventListener("focus", () => { if (!this.draft.selected.length && this.draft.nodes.length) this.draft.select(this.draft.nodes[0].id) })
    this.canvas.addEventListener("pointerdown", () => this.canvas.focus({ preventScroll: true }))
  }

  #toCanvas(event) {
    const box = this.canvas_.viewbox(), rect = this.canvas.getBoundingClientRect()
    return { x: box.x + (event.clientX - rect.x) / box.scale, y: box.y + (event.clientY - rect.y) / box.scale }
  }

  // dragNew begins to drag a node that is not there yet.
  dragNew(event, type) {
    event.preventDefault()
    const kind = this.draft.schema.type(type)
    this.create_.start(event, this.elementFactory_.createShape({ id: `new-${Date.now()}`, node: { name: type, kind: type, icon: kind?.icon }, width, height }))
  }

  #showSelected() {
    const wanted = this.draft.selected.map(id => this.shapes?.get(id)).filter(Boolean)
    const now = this.selection_.get()
    if (wanted.length === now.length && wanted.every(shape => now.includes(shape))) return
    this.quiet = true
    this.selection_.select(wanted)
    this.quiet = false
    if (wanted.length === 1) this.#reveal(wanted[0])
  }

  #reveal(shape) {
    const box = this.canvas_.viewbox()
    if (!this.canvas.clientWidth) return
    if (shape.x < box.x || shape.y < box.y || shape.x + width > box.x + box.width || shape.y + height > box.y + box.height) this.canvas_.scrollToElement(shape, 40)
  }

  // describe is what a screen reader is told of a node.
  describe(id) {
    const node = this.draft.node(id), edges = this.draft.edges().filter(edge => edge.from === id)
    const issues = this.draft.issuesAt(`/nodes/${this.draft.index(id)}`, true).length
    const leads = edges.map(edge => edge.label ? `${edge.to} (${edge.label})` : edge.to).join(", ")
    return `${id}, ${node?.type}${leads ? `, leads to ${leads}` : ", ends here"}${issues ? `, ${issues} ${issues === 1 ? "problem" : "problems"}` : ""}`
  }

  // begin shows the whole graph or, where that could not be read, its beginning.
  begin() {
    if (this.fit() >= legible) return
    const [start] = this.shapes.values(), view = { width: this.canvas.clientWidth / begun, height: this.canvas.clientHeight / begun }
    const at = this.draft.down ? { x: start.x + width / 2 - view.width / 2, y: start.y - 32 } : { x: start.x - 32, y: start.y + height / 2 - view.height / 2 }
    this.canvas_.viewbox({ ...at, ...view })
  }

  // fit shows everything and returns at which scale.
  fit() {
    if (!this.canvas.clientWidth || !this.shapes?.size) return 1
    const all = [...this.shapes.values()]
    const x = Math.min(...all.map(s => s.x)), y = Math.min(...all.map(s => s.y))
    const w = Math.max(...all.map(s => s.x)) + width - x, v = Math.max(...all.map(s => s.y)) + height - y
    const scale = Math.min(1, (this.canvas.clientWidth - 48) / w, (this.canvas.clientHeight - 48) / v)
    const view = { width: this.canvas.clientWidth / scale, height: this.canvas.clientHeight / scale }
    this.canvas_.viewbox({ x: x - (view.width - w) / 2, y: y - (view.height - v) / 2, ...view })
    return scale
  }

  zoom(by) { this.canvas_.zoom(by === 1 ? 1 : Math.min(2, Math.max(0.1, this.canvas_.zoom() * by)), by === 1 ? undefined : "auto") }

  // go opens a node and brings it to the middle.
  go(id) {
    this.draft.select(id)
    const shape = this.shapes?.get(id)
    if (!shape || !this.canvas.clientWidth) return
    const scale = Math.max(this.canvas_.zoom(), begun), view = { width: this.canvas.clientWidth / scale, height: this.canvas.clientHeight / scale }
    this.canvas_.viewbox({ x: shape.x + (width - view.width) / 2, y: shape.y + (height - view.height) / 2, ...view })
  }

  arrange() {
    this.refit = true
    this.draft.arrange()
  }

  #key(event) {
    const { draft } = this, [id] = draft.selected
    const control = event.ctrlKey || event.metaKey
    const does = {
      ArrowRight: () => this.#walk(1, 0), ArrowLeft: () => this.#walk(-1, 0), ArrowDown: () => this.#walk(0, 1), ArrowUp: () => this.#walk(0, -1),
      Enter: () => id && this.open(id), F2: () => id && this.open(id, "id"), Escape: () => draft.select([]),
      Delete: () => this.remove(), Backspace: () => this.remove(),
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(0.8), 0: () => this.zoom(1), 1: () => this.fit(),
    }
    const controlled = {
      c: () => this.copy(), x: () => { this.copy(); this.remove() }, v: () => this.clipboard?.length && draft.paste(this.clipboard), d: () => id && draft.paste(draft.selected.map(id => draft.node(id))),
      a: () => draft.select(draft.nodes.map(node => node.id)),
    }
    if (!control && event.shiftKey && event.key.startsWith("Arrow") && id) return this.#nudge(event)
    const act = control ? controlled[event.key] : event.altKey ? undefined : does[event.key]
    if (!act) return
    event.preventDefault()
    event.stopPropagation()
    act()
  }

  copy() { this.clipboard = this.draft.selected.map(id => this.draft.node(id)).filter(Boolean) }

  remove() {
    if (this.edge) this.draft.disconnect([this.edge])
    else if (this.draft.selected.length) {
      const next = this.draft.edges().find(edge => edge.to === this.draft.selected[0])?.from
      this.draft.remove(this.draft.selected)
      if (next) this.draft.select(next)
    }
  }

  // #walk opens the nearest node in a direction.
  #walk(dx, dy) {
    const at = this.shapes?.get(this.draft.selected[0])
    if (!at) return this.draft.nodes[0] && this.draft.select(this.draft.nodes[0].id)
    let best, least = Infinity
    for (const shape of this.shapes.values()) {
      const along = (shape.x - at.x) * dx + (shape.y - at.y) * dy, aside = Math.abs((shape.x - at.x) * dy) + Math.abs((shape.y - at.y) * dx)
      if (shape === at || along <= 0) continue
      const distance = along + 2 * aside
      if (distance < least) { least = distance; best = shape }
    }
    if (best) this.draft.select(best.node.name)
  }

  #nudge(event) {
    event.preventDefault()
    const [dx, dy] = { ArrowRight: [10, 0], ArrowLeft: [-10, 0], ArrowDown: [0, 10], ArrowUp: [0, -10] }[event.key]
    for (const shape of this.shapes.values()) if (!this.draft.moved.has(shape.node.name)) this.draft.moved.set(shape.node.name, { x: shape.x, y: shape.y })
    for (const id of this.draft.selected) { const at = this.draft.moved.get(id); this.draft.moved.set(id, { x: at.x + dx, y: at.y + dy }) }
    this.draft.emit("place")
  }
}

const middle = shape => ({ x: shape.x + width / 2, y: shape.y + height / 2 })
const exit = (shape, down) => down ? { x: shape.x + width / 2, y: shape.y + height } : { x: shape.x + width, y: shape.y + height / 2 }
const entry = (shape, down) => down ? { x: shape.x + width / 2, y: shape.y } : { x: shape.x, y: shape.y + height / 2 }
