// A button that stops and continues what refreshes by itself on this page.
for (const button of document.querySelectorAll("[data-pause]")) {
  button.hidden = false
  button.addEventListener("click", () => {
    const paused = document.body.toggleAttribute("data-paused")
    button.setAttribute("aria-pressed", String(paused))
  })
}

// What refreshes by itself rests while nobody looks.
document.addEventListener("htmx:before:request", event => {
  if (event.target.hasAttribute("data-refresh") && (document.hidden || document.body.hasAttribute("data-paused"))) event.preventDefault()
})
