// Ctrl+K opens the search over everything; the arrows walk through what it finds, Enter goes there.
const palette = document.getElementById("palette")
const input = palette?.querySelector("input")

function open() {
  palette.showModal()
  input.select()
  input.dispatchEvent(new CustomEvent("opened"))
}

if (palette) {
  document.addEventListener("keydown", event => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault()
      if (!palette.open) open()
    }
  })
  document.querySelector('[data-opens="palette"]')?.addEventListener("click", event => { event.preventDefault(); open() })
  palette.addEventListener("click", event => { if (event.target === palette) palette.close() })
  palette.addEventListener("keydown", event => {
    const hits = [...palette.querySelectorAll("[data-hit]")]
    if (event.key === "Escape") { event.preventDefault(); palette.close() } // a search field would only empty itself
    if (event.key === "Enter" && document.activeElement === input) { event.preventDefault(); hits[0]?.click() }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return
    event.preventDefault()
    const at = hits.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1)
    if (at < 0) input.focus(); else hits[Math.min(at, hits.length - 1)]?.focus()
  })
}
