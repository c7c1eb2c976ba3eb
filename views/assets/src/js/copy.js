// <copy-button value="…" label="…">: a button that puts the value on the clipboard. Nothing without JavaScript.
import { icon } from "./icon.js"

customElements.define("copy-button", class extends HTMLElement {
  connectedCallback() {
    if (this.firstElementChild) return
    const button = document.createElement("button")
    button.type = "button"
    button.title = `Copy ${this.getAttribute("label")}`
    button.setAttribute("aria-label", button.title)
    button.append(icon("copy"))
    button.addEventListener("click", async () => {
      const text = this.hasAttribute("from") ? document.getElementById(this.getAttribute("from")).textContent : this.getAttribute("value")
      try {
        await navigator.clipboard.writeText(text)
      } catch { // no clipboard without https: let the user copy
        window.prompt("Copy with Ctrl+C", text)
        return
      }
      button.replaceChildren(icon("check"))
      setTimeout(() => button.replaceChildren(icon("copy")), 1500)
    })
    this.append(button)
  }
})
