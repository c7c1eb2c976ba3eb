// <code-editor class="code"><textarea></code-editor>: line numbers, JSON colours and marks on the
// lines that the checks beside it complain about. The textarea stays the one that is edited and sent.
import { paint } from "./paint.js"

customElements.define("code-editor", class extends HTMLElement {
  connectedCallback() {
    this.area = this.querySelector("textarea")
    if (!this.area || this.gutter) return
    this.area.spellcheck = false
    this.gutter = document.createElement("div")
    this.gutter.className = "gutter"
    this.gutter.setAttribute("aria-hidden", "true")
    this.layer = document.createElement("pre")
    this.layer.className = "paint"
    this.layer.setAttribute("aria-hidden", "true")
    this.prepend(this.gutter, this.layer)
    this.classList.add("upgraded")
    this.marks = new Map()
    this.area.addEventListener("input", () => this.draw())
    this.area.addEventListener("scroll", () => this.follow())
    this.area.addEventListener("keydown", event => this.key(event))
    this.onSwap = () => this.readMarks()
    document.addEventListener("htmx:after:swap", this.onSwap)
    this.readMarks()
  }

  disconnectedCallback() { document.removeEventListener("htmx:after:swap", this.onSwap) }

  // readMarks takes the lines from the issues in the element that data-checks names.
  readMarks() {
    this.marks.clear()
    const checks = document.getElementById(this.dataset.checks)
    for (const issue of checks?.querySelectorAll("[data-line]") ?? []) {
      const line = Number(issue.dataset.line)
      if (this.marks.get(line) !== "bad") this.marks.set(line, issue.dataset.tone)
      issue.onclick = () => this.goto(line)
    }
    this.draw()
  }

  draw() {
    const lines = this.area.value.split("\n")
    const gutter = document.createDocumentFragment()
    const layer = document.createDocumentFragment()
    const colours = this.area.value.length < 100_000
    lines.forEach((text, index) => {
      const number = document.createElement("span")
      number.textContent = index + 1
      const tone = this.marks.get(index + 1)
      if (tone) number.dataset.tone = tone
      gutter.append(number)
      const content = colours ? paint(text) : text
      if (tone) {
        const line = document.createElement("span")
        line.className = "marked"
        line.dataset.tone = tone
        line.append(content, text ? "" : " ")
        layer.append(line)
      } else layer.append(content)
      layer.append("\n")
    })
    this.gutter.replaceChildren(gutter)
    this.layer.replaceChildren(layer)
    this.follow()
  }

  follow() {
    this.gutter.scrollTop = this.layer.scrollTop = this.area.scrollTop
    this.layer.scrollLeft = this.area.scrollLeft
  }

  goto(line) {
    const start = this.area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0)
    const end = this.area.value.indexOf("\n", start)
    this.area.focus()
    this.area.setSelectionRange(start, end < 0 ? this.area.value.length : end)
    const height = parseFloat(getComputedStyle(this.area).lineHeight)
    this.area.scrollTop = Math.max(0, (line - 6) * height)
  }

  // Enter keeps the indentation, one deeper after a bracket. Tab is left to the keyboard user.
  key(event) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return
    const before = this.area.value.slice(0, this.area.selectionStart)
    const line = before.slice(before.lastIndexOf("\n") + 1)
    const indent = line.match(/^\s*/)[0] + (/[[{]\s*$/.test(line) ? "  " : "")
    event.preventDefault()
    // insertText keeps the browser's undo; setRangeText is for browsers without it.
    if (!document.execCommand("insertText", false, "\n" + indent)) {
      this.area.setRangeText("\n" + indent, this.area.selectionStart, this.area.selectionEnd, "end")
      this.area.dispatchEvent(new Event("input", { bubbles: true }))
    }
  }
})
