// Choosing records of a list: Shift+click and Shift+x choose from the last one to this one, Ctrl+A all on the page.
const boxes = () => [...document.querySelectorAll("[data-choose]")]
let last = null // value of the box that was used last

function set(box, on, range) {
  const all = boxes(), from = all.findIndex(b => b.value === last), to = all.indexOf(box)
  for (const b of range && from >= 0 ? all.slice(Math.min(from, to), Math.max(from, to) + 1) : [box]) b.checked = on
  last = box.value
  show()
}

// show keeps the box at the head of the list in step.
function show() {
  const all = boxes(), chosen = all.filter(b => b.checked).length
  const head = document.querySelector("[data-choose-all]")
  if (!head) return
  head.hidden = false
  head.checked = chosen > 0 && chosen === all.length
  head.indeterminate = chosen > 0 && chosen < all.length
}

document.addEventListener("click", event => {
  const box = event.target.closest("[data-choose]")
  if (box) set(box, box.checked, event.shiftKey)
  const head = event.target.closest("[data-choose-all]")
  if (head) { for (const b of boxes()) b.checked = head.checked; show() }
})

document.addEventListener("keydown", event => {
  if (event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable], dialog")) return
  if ((event.ctrlKey || event.metaKey) && event.key === "a" && boxes().length) {
    event.preventDefault()
    for (const b of boxes()) b.checked = true
    show()
  } else if (!event.ctrlKey && !event.metaKey && event.key.toLowerCase() === "x") {
    const box = event.target.closest("tr")?.querySelector("[data-choose]")
    if (box) set(box, !box.checked, event.shiftKey)
  }
})

// What is drawn anew keeps what was chosen: a record is in the state it was drawn in only without this.
let chosen = new Set()
document.addEventListener("htmx:before:swap", () => { chosen = new Set(boxes().filter(b => b.checked).map(b => b.value)) })
document.addEventListener("htmx:after:swap", () => { for (const b of boxes()) b.checked = chosen.has(b.value); show() })
// What is done with all that match is asked about once more.
document.addEventListener("submit", event => {
  const all = event.target.id === "bulk" && document.querySelector("[data-all]")
  const what = event.submitter?.textContent.trim()
  if (all && !window.confirm(`${what}: all ${all.dataset.all} that match?`)) event.preventDefault()
})
document.addEventListener("reset", () => setTimeout(show))
show()
