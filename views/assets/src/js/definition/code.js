// CodeMirror: the JSON view, and the small editors of expressions and templates.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete"
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands"
import { json } from "@codemirror/lang-json"
import { bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, StreamLanguage, syntaxHighlighting } from "@codemirror/language"
import { lintGutter, setDiagnostics } from "@codemirror/lint"
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search"
import { Compartment, EditorState } from "@codemirror/state"
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder } from "@codemirror/view"
import { tags } from "@lezer/highlight"
import { schemaCompletion, schemaHover } from "./jsonhelp.js"
import { placeOf } from "./text.js"

const nonce = document.querySelector("script[nonce]")?.nonce ?? ""

// The classes are those of the page's own style sheet.
const colours = syntaxHighlighting(HighlightStyle.define([
  { tag: tags.propertyName, class: "j-key" }, { tag: [tags.string, tags.special(tags.string)], class: "j-str" },
  { tag: tags.number, class: "j-num" }, { tag: [tags.bool, tags.null, tags.keyword], class: "j-lit" },
  { tag: tags.variableName, class: "j-key" }, { tag: [tags.operator, tags.brace], class: "j-op" },
]))

// Typing over coloured text would make Chrome keep its colour by an inline style, which the content
// security policy refuses: such input is done here.
const typeOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main
    if (event.inputType !== "insertText" || !event.data || empty || view.composing || view.state.selection.ranges.length > 1) return false
    event.preventDefault()
    const insert = () => view.state.update(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true })
    if (!view.state.facet(EditorView.inputHandler).some(handler => handler(view, from, to, event.data, insert))) view.dispatch(insert())
    return true
  },
})
const common = [typeOver, EditorView.cspNonce.of(nonce), colours, history({ newGroupDelay: 600 }), bracketMatching(), closeBrackets(), EditorState.tabSize.of(2), EditorView.lineWrapping]

// jsonView is the editor of the whole document. Its history is everybody's.
export function jsonView(text, schema, draft) {
  const mode = new Compartment()
  const view = new EditorView({
    state: EditorState.create({
      doc: text,
      extensions: [
        common, mode.of([]), json(), lineNumbers(), foldGutter(), lintGutter(), drawSelection(), indentOnInput(), highlightActiveLine(), highlightSelectionMatches(),
        autocompletion({ override: [schemaCompletion(schema)] }), schemaHover(schema),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap]),
        EditorView.contentAttributes.of({ "aria-label": "Document as JSON", spellcheck: "false" }),
        EditorView.updateListener.of(update => {
          if (update.docChanged) draft.changed()
          else if (update.selectionSet && update.view.hasFocus) draft.follow(update.state.selection.main.head)
        }),
      ],
    }),
  })
  view.extend = extensions => view.dispatch({ effects: mode.reconfigure(extensions) })
  return view
}

// mark shows the issues at their places.
export function mark(view, issues) {
  const text = view.state.doc.toString()
  view.dispatch(setDiagnostics(view.state, issues.map(issue => {
    const place = placeOf(text, issue.path)
    return { ...place, severity: issue.severity === "error" ? "error" : "warning", message: issue.message }
  })))
}

const cel = {
  token(stream) {
    if (stream.eatSpace()) return null
    if (stream.match(/^'(?:[^'\\]|\\.)*'?|^"(?:[^"\\]|\\.)*"?/)) return "string"
    if (stream.match(/^\d+(?:\.\d+)?(?:[eE][+-]?\d+)?u?/)) return "number"
    if (stream.match(/^(?:true|false|null|in)\b/)) return "keyword"
    if (stream.match(/^[A-Za-z_]\w*/)) return "variableName"
    stream.next()
    return "operator"
  },
}
const template = {
  startState: () => ({ hole: false }),
  token(stream, state) {
    if (state.hole) {
      if (stream.match("}}")) { state.hole = false; return "brace" }
      return cel.token(stream)
    }
    if (stream.match("{{")) { state.hole = true; return "brace" }
    while (!stream.eol() && !stream.match("{{", false)) stream.next()
    return null
  },
}
const languages = { cel: StreamLanguage.define(cel), template: StreamLanguage.define(template) }

// expressionView is a field for CEL or a template. complete(path) lists what stands behind a path of
// names: [{label, detail, type}].
export function expressionView({ value, format, label, describedby, hint, complete, change }) {
  let quiet = false
  const view = new EditorView({
    state: EditorState.create({
      doc: value,
      extensions: [
        common, languages[format], placeholder(hint ?? ""),
        autocompletion({ override: [completion(format, complete)], icons: false }),
        keymap.of([...closeBracketsKeymap, ...completionKeymap.filter(binding => binding.key !== "Tab"), ...defaultKeymap, ...historyKeymap]),
        EditorView.contentAttributes.of({ "aria-label": label, "aria-describedby": describedby, spellcheck: "false" }),
        EditorView.updateListener.of(update => { if (update.docChanged && !quiet) change(update.state.doc.toString()) }),
      ],
    }),
  })
  return {
    element: view.dom,
    focus: () => view.focus(),
    set(text) {
      const now = view.state.doc.toString()
      if (text === now || view.hasFocus && view.composing) return
      quiet = true
      view.dispatch({ changes: { from: 0, to: now.length, insert: text } })
      quiet = false
    },
    // mark shows issues at their line and column.
    mark(issues) {
      const doc = view.state.doc
      view.dispatch(setDiagnostics(view.state, issues.filter(issue => issue.line <= doc.lines).map(issue => {
        const line = doc.line(issue.line)
        const from = Math.min(line.from + issue.column - 1, line.to)
        const word = /^[\w.]+/.exec(doc.sliceString(from, line.to))?.[0].length ?? 1
        return { from: Math.max(line.from, Math.min(from, line.to - 1)), to: Math.min(from + word, line.to), severity: "error", message: issue.message }
      })))
    },
    destroy: () => view.destroy(),
  }
}

const functions = [
  ["has", "has(alert.labels.team): is the key there"], ["size", "size(alerts)"], ["matches", "text.matches('regular expression')"], ["contains", "text.contains('part')"],
  ["startsWith", "text.startsWith('part')"], ["endsWith", "text.endsWith('part')"], ["exists", "alerts.exists(a, a.severity == 'critical')"], ["all", "alerts.all(a, …)"],
  ["filter", "alerts.filter(a, …)"], ["map", "alerts.map(a, a.name)"], ["orValue", "alert.labels.?team.orValue('none')"], ["lowerAscii", "text.lowerAscii()"], ["upperAscii", "text.upperAscii()"],
  ["split", "text.split(',')"], ["join", "list.join(', ')"], ["replace", "text.replace('a', 'b')"], ["trim", "text.trim()"], ["string", "string(value)"], ["int", "int(value)"], ["double", "double(value)"],
  ["timestamp", "timestamp(alert.starts_at)"], ["duration", "duration('5m')"],
]

function completion(format, complete) {
  return context => {
    if (format === "template") {
      const before = context.state.sliceDoc(0, context.pos)
      if (before.lastIndexOf("{{") <= before.lastIndexOf("}}")) return null
    }
    const found = context.matchBefore(/[A-Za-z_][\w.?]*/)
    if (!found && !context.explicit) return null
    const text = found?.text ?? "", path = text.split(/\??\.\??/)
    path.pop()
    const options = complete(path)
    if (!path.length) options.push(...functions.filter(([name]) => ["has", "size", "string", "int", "double", "timestamp", "duration"].includes(name)).map(([label, detail]) => ({ label, detail, type: "function" })))
    else options.push(...functions.filter(([name]) => !["has", "size", "string", "int", "double", "timestamp", "duration"].includes(name)).map(([label, detail]) => ({ label, detail, type: "function", boost: -50 })))
    return { from: context.pos - (text.split(/[.?]/).at(-1)?.length ?? 0), options, validFor: /^\w*$/ }
  }
}
