// Colours for JSON: [class, text] pieces that concatenate to the source, whatever state it is in.
const token = /("(?:[^"\\\n]|\\.)*"?)(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g

export function* pieces(source) {
  let end = 0
  for (const match of source.matchAll(token)) {
    if (match.index > end) yield ["", source.slice(end, match.index)]
    const [all, string, colon, number, literal] = match
    if (string !== undefined) {
      yield [colon ? "j-key" : "j-str", string]
      if (colon) yield ["", colon]
    } else yield [number !== undefined ? "j-num" : "j-lit", number ?? literal]
    end = match.index + all.length
  }
  if (end < source.length) yield ["", source.slice(end)]
}

// paint returns a fragment with the source in coloured spans.
export function paint(source) {
  const fragment = document.createDocumentFragment()
  for (const [kind, text] of pieces(source)) {
    if (!kind) { fragment.append(text); continue }
    const span = document.createElement("span")
    span.className = kind
    span.textContent = text
    fragment.append(span)
  }
  return fragment
}
