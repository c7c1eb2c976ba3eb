// What expressions can name: the fixed names, and what a dry run or the node types say stands behind
// them.
const roots = [
  ["payload", "the body of the request, or what a run was started with"], ["alert", "the most severe alert of the run"], ["alerts", "all alerts of the run"],
  ["incident", "the incident the run is about"], ["run", "id, definition, source, environment, trigger, url"], ["nodes", "results of the nodes that ran before"], ["now", "this moment"],
]
const known = {
  alert: ["name", "host", "source", "fingerprint", "status", "severity", "severity_text", "summary", "description", "labels", "annotations", "starts_at", "ends_at", "url", "links"],
  incident: ["id", "title", "status", "severity", "name", "host", "source", "summary", "alert_count", "firing_count", "started_at", "resolved_at", "acknowledged_at", "acknowledged_by", "url"],
  run: ["id", "trace_id", "definition", "definition_version", "source", "environment", "trigger", "url"],
}
const result = [["output", "what it returned"], ["errors", "list of texts"], ["has_errors", "true or false"], ["skipped", "true or false"]]

// names lists what can stand behind a path of names at a node, with what the last dry run saw there.
export function names(draft, node, path, field) {
  const [root, ...rest] = path
  const upstream = node === undefined ? [] : draft.upstream(node)
  const trial = draft.trial
  if (root === undefined) {
    const list = roots.map(([label, detail]) => ({ label, detail, type: "variable" }))
    if (/\bitem\b/.test(field.schema.description ?? "")) list.unshift({ label: "item", detail: "the entry of the list", type: "variable" })
    return node === undefined ? list.filter(entry => entry.label !== "nodes") : list
  }
  if (root === "nodes") {
    if (!rest.length) return upstream.map(id => ({ label: id, detail: draft.node(id)?.type, type: "variable" }))
    if (rest.length === 1) return result.map(([label, detail]) => ({ label, detail, type: "property" }))
    return rest[1] === "output" ? below(trial?.nodes.find(n => n.node_id === rest[0])?.output, rest.slice(2)) : []
  }
  const seen = { payload: trial?.payload, alert: trial?.alerts?.[0], incident: trial?.incident }[root]
  const found = below(seen, rest)
  if (!rest.length && !found.length) return (known[root] ?? []).map(label => ({ label, type: "property" }))
  return found
}

function below(value, path) {
  for (const step of path) value = value?.[step]
  if (value === null || typeof value !== "object" || Array.isArray(value)) return []
  return Object.entries(value).filter(([key]) => /^[A-Za-z_]\w*$/.test(key)).map(([label, v]) => ({ label, type: "property", detail: v === null || typeof v !== "object" ? String(JSON.stringify(v)).slice(0, 40) : Array.isArray(v) ? `list of ${v.length}` : "…" }))
}
