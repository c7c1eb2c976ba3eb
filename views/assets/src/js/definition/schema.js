// The published schema of documents, as forms need it: everything the editor offers is read from it.

export class Schema {
  constructor(document, types) {
    this.document = document
    this.node = document.properties.nodes.items
    const rules = new Map((this.node.allOf ?? []).map(rule => [rule.if.properties.type.const, rule.then.properties]))
    // In the order that the server offers them.
    this.types = types.map(type => ({ ...type, title: rules.get(type.name)?.config?.title ?? type.name, about: rules.get(type.name)?.config?.description ?? "", rules: rules.get(type.name) }))
  }

  static async load(types) {
    const answer = await fetch("/schemas/pipeline-1.0.json", { headers: { Accept: "application/json" } })
    if (!answer.ok) throw new Error(`The schema cannot be read (${answer.status}).`)
    return new Schema(await answer.json(), types)
  }

  type(name) { return this.types.find(type => type.name === name) }

  // of is the schema of a node as it is: that of all nodes, with the configuration of its type.
  of(node) {
    const rules = this.type(node.type)?.rules
    return { ...this.node, allOf: undefined, properties: { ...this.node.properties, ...(rules?.config ? { config: { ...rules.config, title: undefined, description: undefined } } : {}) } }
  }
}

// resolve applies the if/then rules of a schema that hold for a value.
export function resolve(schema, value) {
  if (!schema?.allOf) return schema
  const properties = { ...schema.properties }
  for (const rule of schema.allOf) {
    if (!holds(rule.if, value)) continue
    for (const [name, more] of Object.entries(rule.then?.properties ?? {})) properties[name] = { ...properties[name], ...more, title: properties[name]?.title ?? more.title }
  }
  return { ...schema, properties }
}

function holds(condition, value) {
  return Object.entries(condition?.properties ?? {}).every(([name, want]) => value?.[name] !== undefined && (want.const === undefined || value[name] === want.const))
}

// kindOf says how a value of the schema is edited.
export function kindOf(schema, value) {
  if (schema.writeOnly) return "secret"
  if (leads(schema)) return schema.anyOf.some(branch => branch.type === "object") ? "next" : "targets"
  if (schema.anyOf && !schema.properties) return "choice"
  if (schema.enum) return "select"
  switch (schema.type) {
    case "boolean": return "flag"
    case "integer": case "number": return "number"
    case "string": return { cel: "expression", template: "template", channel: "named", definition: "named", "time-zone": "named", node: "node" }[schema.format] ?? (typeof value === "string" && value.includes("\n") ? "lines" : "text")
    case "array":
      if (schema.items?.enum) return "several"
      if (schema.items?.format === "node") return "nodes"
      return "list"
    case "object":
      if (schema.properties) return "group"
      if (typeof schema.additionalProperties === "object") return "map"
  }
  return "json"
}

export const leads = schema => schema?.anyOf?.[0]?.format === "target"

// branch is the alternative of an anyOf that a value is written as.
export function branch(schema, value) {
  const type = value === null || value === undefined ? "" : Array.isArray(value) ? "array" : typeof value
  return schema.anyOf.find(option => option.type === type) ?? schema.anyOf[0]
}

// texts lists the texts of a value that have a format: [{text, format, path}].
export function texts(schema, value, path = [], found = []) {
  if (value === undefined || value === null || !schema) return found
  if (schema.anyOf && !schema.properties) schema = branch(schema, value)
  if (typeof value === "string") {
    if (schema.format) found.push({ text: value, format: schema.format, path })
  } else if (Array.isArray(value)) value.forEach((v, i) => texts(schema.items, v, [...path, i], found))
  else if (typeof value === "object") {
    schema = resolve(schema, value)
    for (const [name, v] of Object.entries(value)) texts(schema.properties?.[name] ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined), v, [...path, name], found)
  }
  return found
}

// targets lists where a node leads: [{to, label, path}] with the path of the id below the node.
export function targets(schema, node) {
  return texts(schema, node).filter(t => t.format === "target").map(t => ({ to: t.text, label: labelOf(t.path), path: t.path }))
}

// labelOf names an edge as the server does: the outcome, the case, or the key.
function labelOf(path) {
  const words = path.filter((step, i) => !(i === path.length - 1 && typeof step === "number"))
  if (words[0] === "next") return words.length > 1 ? String(words[1]) : ""
  if (words[0] === "config") {
    const index = words.find(step => typeof step === "number")
    return index === undefined ? String(words.at(-1)).replaceAll("_", " ") : `case ${index + 1}`
  }
  return String(words[0]).replaceAll("_", " ")
}
