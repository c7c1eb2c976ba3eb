// Completion and explanations in the JSON view, from the published schema. What is wrong is the
// server's to say.
import { hoverTooltip } from "@codemirror/view"
import { getLanguageService, TextDocument } from "vscode-json-languageservice"
import { h } from "./dom.js"

const uri = "penstock:///definition.json"

function serviceFor(schema) {
  const service = getLanguageService({})
  service.configure({ validate: false, allowComments: false, schemas: [{ uri: "penstock:///schema.json", fileMatch: ["*"], schema: schema.document }] })
  return service
}

function read(service, state) {
  const document = TextDocument.create(uri, "json", 1, state.doc.toString())
  return [document, service.parseJSONDocument(document)]
}

export function schemaCompletion(schema) {
  const service = serviceFor(schema)
  return async context => {
    if (!context.explicit && !context.matchBefore(/["\w]/)) return null
    const [document, parsed] = read(service, context.state)
    const answer = await service.doComplete(document, document.positionAt(context.pos), parsed)
    const options = (answer?.items ?? []).map(item => {
      const edit = item.textEdit
      return {
        label: item.label, info: typeof item.documentation === "string" ? item.documentation : item.documentation?.value, boost: item.label === "type" ? 10 : 0,
        apply(view) {
          const text = edit.newText.replaceAll(/\$\{\d+:?([^}]*)\}|\$\d+/g, "$1")
          const from = document.offsetAt(edit.range.start), to = Math.max(document.offsetAt(edit.range.end), context.pos)
          view.dispatch({ changes: { from, to, insert: text }, selection: { anchor: from + text.length }, userEvent: "input.complete" })
        },
      }
    })
    return options.length ? { from: context.matchBefore(/"?[\w]*/)?.from ?? context.pos, options, filter: true } : null
  }
}

export function schemaHover(schema) {
  const service = serviceFor(schema)
  return hoverTooltip(async (view, at) => {
    const [document, parsed] = read(service, view.state)
    const found = await service.doHover(document, document.positionAt(at), parsed)
    const text = [found?.contents].flat().map(part => typeof part === "string" ? part : part?.value).filter(Boolean).join("\n\n")
    if (!text) return null
    return { pos: document.offsetAt(found.range.start), end: document.offsetAt(found.range.end), create: () => ({ dom: h("div.code-tip", {}, text.replaceAll("\\", "")) }) }
  })
}
