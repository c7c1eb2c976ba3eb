// Short messages at the edge. The server puts one into the page after a change; failed requests add
// their own. Good news leaves by itself, errors stay until they are closed.
import { icon } from "./icon.js"

const list = () => document.querySelector(".toasts")

export function toast(message, tone = "bad") {
  const item = document.createElement("div")
  item.className = "toast"
  item.dataset.tone = tone
  const text = document.createElement("p")
  text.textContent = message
  item.append(icon(tone === "good" ? "circle-check" : "circle-x"), text)
  list()?.append(item)
  equip(item)
}

function equip(item) {
  const close = document.createElement("button")
  close.type = "button"
  close.className = "btn btn-quiet btn-small btn-icon"
  close.setAttribute("aria-label", "Close message")
  close.append(icon("x"))
  close.addEventListener("click", () => item.remove())
  item.append(close)
  if (item.dataset.tone === "good") setTimeout(() => item.remove(), 6000)
}

for (const item of document.querySelectorAll(".toast")) equip(item)
document.addEventListener("keydown", event => { if (event.key === "Escape") list()?.replaceChildren() })

// A refused request is not swapped into the page (htmx's noSwap); its sentence is shown here.
document.addEventListener("htmx:response:error", event => {
  const page = new DOMParser().parseFromString(event.detail.ctx.text ?? "", "text/html")
  toast(page.querySelector("[data-error]")?.textContent ?? `The server answered ${event.detail.ctx.response.status}.`)
})
document.addEventListener("htmx:error", event => {
  if (!event.detail.ctx?.response) toast("The server cannot be reached. Check the connection and try again.")
})
