// A small picture of a graph that is too large to see at once: where its nodes are, and what of it is on
// the screen. A click or a drag goes there. It is for the pointer only; keys have the search and the arrows.
import { h } from "./dom.js"

const largest = { width: 180, height: 200 }, least = 40 // px
const from = 20 // nodes; fewer are seen without it

const svg = (name, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name)
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value)
  return element
}

export class Minimap {
  // canvas is diagram-js's; what it shows of the drawing is its viewbox.
  constructor(canvas, eventBus) {
    this.canvas = canvas
    this.nodes = svg("g", {})
    this.window = svg("rect", { class: "window" })
    this.picture = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" })
    this.picture.append(this.nodes, this.window)
    this.element = h("div.minimap", { hidden: true, title: "Where you are in the graph. Click to go elsewhere." }, this.picture)
    eventBus.on("canvas.viewbox.changed", () => this.#follow())
    this.element.addEventListener("pointerdown", event => {
      event.preventDefault()
      event.stopPropagation()
      this.element.setPointerCapture(event.pointerId)
      this.#go(event)
    })
    this.element.addEventListener("pointermove", event => { if (this.element.hasPointerCapture(event.pointerId)) this.#go(event) })
  }

  // draw takes the shapes of the drawing, and which of them are open.
  draw(shapes, selected) {
    this.element.hidden = shapes.length <= from
    if (this.element.hidden) return
    const x = Math.min(...shapes.map(s => s.x)), y = Math.min(...shapes.map(s => s.y))
    const w = Math.max(...shapes.map(s => s.x + s.width)) - x, v = Math.max(...shapes.map(s => s.y + s.height)) - y
    this.bounds = { x, y, width: w, height: v }
    const room = Math.min(1, this.element.parentElement.clientWidth / 700)
    const scale = room * Math.min(largest.width / w, largest.height / v)
    this.picture.setAttribute("viewBox", `${x} ${y} ${w} ${v}`)
    this.picture.setAttribute("width", Math.max(least, w * scale))
    this.picture.setAttribute("height", Math.max(least, v * scale))
    this.nodes.replaceChildren(...shapes.map(s => svg("rect", {
      class: "spot", x: s.x, y: s.y, width: s.width, height: s.height,
      "data-tone": s.node.errors ? "bad" : s.node.state?.tone, "data-open": selected.includes(s.node.name) ? "" : undefined,
    })))
    this.#follow()
  }

  #follow() {
    if (this.element.hidden || !this.bounds) return
    const box = this.canvas.viewbox()
    for (const side of ["x", "y", "width", "height"]) this.window.setAttribute(side, box[side])
  }

  #go(event) {
    const place = this.picture.getBoundingClientRect(), box = this.canvas.viewbox(), { x, y, width, height } = this.bounds
    this.canvas.viewbox({
      x: x + (event.clientX - place.x) / place.width * width - box.width / 2, y: y + (event.clientY - place.y) / place.height * height - box.height / 2,
      width: box.width, height: box.height,
    })
  }
}
