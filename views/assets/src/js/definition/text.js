// JSON as text and as values, without loss: numbers keep their digits, objects their order. Printing
// is that of the server (server/admin_json.go): what the editor writes, saving does not change.
import { parseTree } from "jsonc-parser"

const lineWidth = 90

// Digits is a number that JavaScript cannot hold exactly, as it is written.
export class Digits {
  constructor(text) { this.text = text }
  toJSON() { return Number(this.text) }
}

// read returns the value of a JSON text, or undefined if it is none, or names a key twice.
export function read(text) {
  const errors = []
  const tree = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false })
  if (!tree || errors.length) return undefined
  try { return valueOf(tree, text) } catch { return undefined }
}

function valueOf(node, text) {
  switch (node.type) {
    case "array": return (node.children ?? []).map(child => valueOf(child, text))
    case "object": {
      const object = {}
      for (const { children: [key, value] } of node.children ?? []) {
        if (Object.hasOwn(object, key.value)) throw new Error(`${key.value} twice`)
        Object.defineProperty(object, key.value, { value: valueOf(value, text), enumerable: true, configurable: true, writable: true })
      }
      return object
    }
    case "number": {
      const digits = text.slice(node.offset, node.offset + node.length)
      return String(node.value) === digits ? node.value : new Digits(digits)
    }
  }
  return node.value
}

export function print(value, newline = "\n") {
  if (value instanceof Digits) return value.text
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  const inner = newline + "  "
  const list = Array.isArray(value)
  const parts = list ? value.map(v => print(v, inner)) : Object.entries(value).map(([key, v]) => `${JSON.stringify(key)}: ${print(v, inner)}`)
  const short = parts.every(part => !part.includes("\n")) && parts.reduce((n, part) => n + part.length + 2, newline.length) <= lineWidth
  const body = short ? parts.join(", ") : inner + parts.join("," + inner) + newline
  return list ? `[${body}]` : `{${body}}`
}

export function copy(value) {
  if (value === null || typeof value !== "object" || value instanceof Digits) return value
  if (Array.isArray(value)) return value.map(copy)
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, copy(v)]))
}

// Pointers (RFC 6901) name places; paths are their steps.
export const pointer = path => path.map(step => "/" + String(step).replaceAll("~", "~0").replaceAll("/", "~1")).join("")
export const steps = text => text.split("/").slice(1).map(step => step.replaceAll("~1", "/").replaceAll("~0", "~"))

export function get(value, path) {
  for (const step of path) {
    if (value === null || typeof value !== "object") return undefined
    value = value[step]
  }
  return value
}

// set writes a value below root, making objects on the way; undefined removes it, and what it leaves
// empty on the way up to (not including) the first `keep` steps.
export function set(root, path, value, keep = 0) {
  const parents = [root]
  for (const step of path.slice(0, -1)) {
    const parent = parents.at(-1)
    if (parent[step] === null || typeof parent[step] !== "object") {
      if (value === undefined) return
      parent[step] = {}
    }
    parents.push(parent[step])
  }
  const last = path.at(-1)
  if (value !== undefined) { parents.at(-1)[last] = value; return }
  const holder = parents.at(-1)
  if (Array.isArray(holder)) holder.splice(Number(last), 1)
  else delete holder[last]
  for (let i = parents.length - 1; i > keep; i--) {
    if (Object.keys(parents[i]).length) break
    const above = parents[i - 1]
    if (Array.isArray(above)) break
    delete above[path[i - 1]]
  }
}

// placeOf is the range of text of the value at a pointer, or of the nearest thing around it; of a text
// that is no JSON, where it stops being some.
export function placeOf(text, at) {
  const errors = []
  let node = parseTree(text, errors)
  if (!at && errors.length) return { from: Math.min(errors[0].offset, Math.max(text.length - 1, 0)), to: Math.min(errors[0].offset + Math.max(errors[0].length, 1), text.length) }
  if (!node) return { from: 0, to: text.length }
  for (const step of steps(at)) {
    const property = node.type === "object" && node.children?.find(child => child.children?.[0]?.value === step)
    const next = property ? property.children[1] : node.type === "array" ? node.children?.[Number(step)] : undefined
    if (!next) return key(node)
    node = next
  }
  return { from: node.offset, to: node.offset + node.length }
}

// key is a short piece of a large value, so that a mark does not cover half of the document.
function key(node) {
  const property = node.parent?.type === "property" ? node.parent.children[0] : undefined
  return property ? { from: property.offset, to: property.offset + property.length } : { from: node.offset, to: node.offset + Math.min(node.length, 1) }
}

// pathAt is the path of the innermost value at an offset.
export function pathAt(text, offset) {
  const path = []
  let node = parseTree(text)
  while (node?.children) {
    const child = node.children.find(child => offset >= child.offset && offset <= child.offset + child.length)
    if (!child) break
    if (node.type === "array") path.push(node.children.indexOf(child))
    else if (node.type === "object") path.push(child.children?.[0]?.value)
    node = child.type === "property" ? child.children[1] : child
    if (child.type === "property" && !node) break
  }
  return path
}

// difference is the one replacement that turns a into b.
export function difference(a, b) {
  let from = 0
  while (from < a.length && from < b.length && a[from] === b[from]) from++
  let end = 0
  while (end < a.length - from && end < b.length - from && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  return { from, to: a.length - end, insert: b.slice(from, b.length - end) }
}
