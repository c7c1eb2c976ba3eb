// "/" goes to the search field; g then d, r, i, o goes to a list; "?" shows the sheet.
const places = { o: "/admin/", d: "/admin/definitions", r: "/admin/runs", i: "/admin/incidents", s: "/admin/settings" }
let afterG = 0

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.target.closest("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur()
    return
  }
  if (event.key === "/") {
    const search = document.querySelector("[data-search]")
    if (search) { event.preventDefault(); search.focus(); search.select() }
  } else if (event.key === "?") {
    if (!document.querySelector("dialog[open]")) document.getElementById("shortcuts")?.showModal()
  } else if (event.key === "g") {
    afterG = Date.now()
  } else if (Date.now() - afterG < 1500 && places[event.key]) {
    location.assign(places[event.key])
  } else if (event.key === "j" || event.key === "k") {
    step(event.key === "j" ? 1 : -1)
  }
})

// j and k walk through the records of the list; Enter opens, because the focus is on the link.
function step(by) {
  const links = [...document.querySelectorAll("[data-row]")]
  if (!links.length) return
  const at = links.indexOf(document.activeElement)
  links[Math.min(links.length - 1, Math.max(0, at + by))].focus()
}

for (const button of document.querySelectorAll("button[data-opens]")) {
  button.hidden = false
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal())
}
document.addEventListener("click", event => {
  const asked = event.target.closest("[data-confirm]")
  if (asked && !window.confirm(asked.dataset.confirm)) event.preventDefault()
}, true)
