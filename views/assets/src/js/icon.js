const svg = "http://www.w3.org/2000/svg"

// icon makes an <svg> that uses a symbol of the sprite the page names.
export function icon(name) {
  const element = document.createElementNS(svg, "svg")
  element.classList.add("icon")
  element.setAttribute("aria-hidden", "true")
  const use = document.createElementNS(svg, "use")
  use.setAttribute("href", `${document.querySelector('meta[name="icons"]').content}#${name}`)
  element.append(use)
  return element
}
