// The live run: says whether the stream is up, follows the log, refreshes the open stage.
const state = value => { const line = document.getElementById("live-state"); if (line) line.dataset.state = value }

document.addEventListener("htmx:sse:after:connection", () => state("live"))
document.addEventListener("htmx:sse:error", event => { if (event.detail.status === 401) signedOut(); else state("lost") })
document.addEventListener("signed-out", signedOut) // the stream's last word
document.addEventListener("htmx:sse:before:connection", event => { if (event.detail.connection.attempt > 0) state("lost") })
document.addEventListener("htmx:sse:close", event => { if (event.detail.reason === "message") state("off") })

// Without a session nothing here is true for long: the page stops, says so and offers no action.
function signedOut() {
  const note = document.getElementById("signed-out")
  if (!note?.hidden) return
  document.body.dataset.stopped = ""
  note.querySelector("[data-at]").textContent = new Date().toLocaleTimeString("en-GB")
  note.hidden = false
  state("off")
  document.querySelector("[hx-sse\\:connect]")?.remove()
  for (const form of document.querySelectorAll("#run-head .actions > *")) form.remove()
}

// A stage that changed while its details are open: fetch them again.
document.addEventListener("htmx:sse:after:message", () => {
  const panel = document.querySelector("#panel[data-node]")
  const row = panel && document.getElementById(`stage-${panel.dataset.node}`)
  if (!row || row.dataset.version === panel.dataset.version) return
  panel.dataset.version = row.dataset.version
  panel.dispatchEvent(new CustomEvent("stage-changed"))
})

// The stage that is open is marked, in the list and in the graph, also after a swap.
function mark() {
  const node = document.querySelector("#panel")?.dataset.node
  for (const element of document.querySelectorAll("[data-stage]")) element.toggleAttribute("data-current", element.dataset.stage === node)
}
document.addEventListener("htmx:after:swap", mark)

// The log keeps to its end while the reader is there.
const log = document.getElementById("log")
if (log) {
  let atEnd = true
  log.addEventListener("scroll", () => { atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24 })
  new MutationObserver(() => { if (atEnd) log.scrollTop = log.scrollHeight }).observe(log, { childList: true, subtree: true })
  if (document.getElementById("live-state")?.dataset.state === "live") log.scrollTop = log.scrollHeight
}

// The open stage's part of the log, streamed text with it, follows the log.
function mirror() {
  const part = document.getElementById("panel-log"), node = document.querySelector("#panel")?.dataset.node
  if (!log || !part || !node) return
  const lines = [...log.children].filter(line => line.dataset.from === node).map(line => {
    const item = document.createElement("li")
    item.append(line.querySelector("time").cloneNode(true), line.querySelector(".line").cloneNode(true))
    item.lastChild.removeAttribute("id")
    return item
  })
  part.replaceChildren(...lines)
  part.hidden = part.previousElementSibling.hidden = lines.length === 0
}
if (log) new MutationObserver(mirror).observe(log, { childList: true, subtree: true, characterData: true })
