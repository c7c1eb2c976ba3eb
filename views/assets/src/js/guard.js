// form[data-guard]: marks unsaved changes, asks before leaving with them, and saves on Ctrl+S.
for (const form of document.querySelectorAll("form[data-guard]")) {
  const dirty = form.querySelector(".dirty")
  let changed = form.hasAttribute("data-changed"), sending = false
  const show = () => { if (dirty) dirty.hidden = !changed }
  show()
  form.addEventListener("input", event => { if (event.target.name !== "message") { changed = true; show() } })
  form.addEventListener("reset", () => { changed = false; show() })
  window.addEventListener("submit", event => { if (event.target === form) sending = !event.defaultPrevented }) // after the form's own listeners
  window.addEventListener("beforeunload", event => { if (changed && !sending) event.preventDefault() })
  document.addEventListener("keydown", event => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") { event.preventDefault(); form.requestSubmit() }
  })
}
// What was kept in this tab is not for who signs in next.
document.querySelector('form[action="/logout"]')?.addEventListener("submit", () => sessionStorage.clear())
