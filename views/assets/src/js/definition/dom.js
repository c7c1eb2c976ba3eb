import { icon } from "../icon.js"

// h makes an element: h("button.btn", {type: "button", onclick}, "text", [icon]). A property that the
// element has is set as one; everything else is an attribute; undefined and false are left out.
export function h(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".")
  const element = document.createElement(tag)
  // What the editor is made of belongs to no form: it neither sends it nor keeps it from being sent.
  if (/^(input|select|textarea|button)$/.test(tag)) element.setAttribute("form", "none")
  if (classes.length) element.className = classes.join(" ")
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === false || value === null) continue
    if (key.startsWith("on") || key === "value" || key === "checked" || key === "selected" || key === "disabled" || key === "hidden") element[key] = value
    else element.setAttribute(key, value === true ? "" : value)
  }
  element.append(...children.flat().filter(child => child !== undefined && child !== null && child !== false))
  return element
}

// action is a button with an icon; without text the label is for screen readers and hover.
export function action(name, label, onclick, { text, kind = "", keys } = {}) {
  const title = keys ? `${label} (${keys})` : label
  return h(`button.btn${kind}${text ? "" : ".btn-icon"}`, { type: "button", title, "aria-label": text && text !== label ? label : text ? undefined : label, onclick }, icon(name), text)
}

let numbers = 0
export const unique = prefix => `${prefix}-${++numbers}`
