// Colours for the blocks of JSON in pages.
import { paint } from "./paint.js"

const limit = 200_000 // characters; beyond, colours cost more than they help

function paintAll(root) {
  for (const block of root.querySelectorAll("[data-json]:not([data-painted])")) {
    block.dataset.painted = ""
    if (block.textContent.length <= limit) block.replaceChildren(paint(block.textContent))
  }
}
paintAll(document)
document.addEventListener("htmx:after:swap", () => paintAll(document))
