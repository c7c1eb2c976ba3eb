// The editor of definitions: graph, list and JSON of one draft, by mouse and by keyboard.
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { audit, serve, setUp, shot, visit } from "./harness.mjs"

let server, state
before(async () => {
  server = await serve()
  state = await setUp(server)
})

const simple = {
  version: "1.0",
  nodes: [
    { id: "take", type: "ingest", next: "look" },
    { id: "look", type: "context", config: { include: ["cpu"] }, next: "tell" },
    { id: "tell", type: "notify", config: { channel: "default" } },
  ],
}

// open saves a definition and opens its editor.
async function open(name, config, options = {}) {
  await server.call("PUT", `/orchestration/definitions/${name}/`, { config })
  const page = await visit(server, { state, ...options })
  await page.goto(`/admin/definitions/${name}`)
  await page.getByRole("tab", { name: "Graph" }).waitFor()
  return page
}
const document_ = page => page.evaluate(() => JSON.parse(document.querySelector("textarea[name=config]").value))
const stored = async name => (await server.call("GET", `/orchestration/definitions/${name}/`)).config
const node = (page, id) => page.locator(".djs-shape", { has: page.locator("title", { hasText: new RegExp(`^${id},`) }) })
const until = async (read, want) => {
  const end = Date.now() + 10_000
  for (let got; ;) {
    got = await read()
    try { assert.deepEqual(got, want); return } catch (error) { if (Date.now() > end) throw error }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
// place is where a node stands once it has stopped moving.
async function place(page, id) {
  const end = Date.now() + 10_000
  for (let before; Date.now() < end;) {
    const now = await node(page, id).boundingBox()
    if (now && JSON.stringify(now) === JSON.stringify(before)) return now
    before = now
    await new Promise(resolve => setTimeout(resolve, 200))
  }
  throw new Error(`${id} does not come to rest`)
}
const paste = (page, text) => page.evaluate(text => {
  const data = new DataTransfer()
  data.setData("text/plain", text)
  document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }))
}, text)
const leave = page => page.evaluate(() => { window.onbeforeunload = null; document.querySelector("form[data-guard]").dispatchEvent(new Event("submit")) })

async function save(page, note) {
  await page.getByLabel("Note kept with the version").fill(note)
  await page.getByRole("button", { name: "Save" }).click()
  await page.getByText("Definition saved.").waitFor()
}

test("a pipeline is written in the graph by mouse, broken, mended, saved, run", async () => {
  const page = await open("by-mouse", { version: "1.0", nodes: [{ id: "take", type: "ingest", next: "look" }, { id: "look", type: "context" }] })
  await shot(page, "editor-graph")
  // A click adds after the open node; a drag from the end of a node connects.
  await node(page, "look").click()
  await page.getByRole("button", { name: "Notify" }).click()
  await until(() => document_(page).then(d => d.nodes.map(n => [n.id, n.next])), [["take", "look"], ["look", "notify"], ["notify", undefined]])
  await page.locator(".problem-list").getByText("Nothing says where the message goes").waitFor()
  await node(page, "notify").getByText("1 problem").waitFor()
  await page.getByLabel("Channel", { exact: true }).fill("default")
  await page.locator(".editor-bar .badge").getByText("1 warning").waitFor()

  await page.getByRole("button", { name: "Transform" }).click()
  await page.getByLabel("Source node").selectOption("look")
  await until(() => document_(page).then(d => d.nodes.at(-1)), { id: "transform", type: "transform", config: { source_node: "look" } })
  await page.locator(".editor-bar .badge").getByText("1 warning").waitFor()
  const from = await place(page, "take"), to = await place(page, "notify")
  await page.mouse.move(from.x + from.width / 2, from.y + from.height / 2)
  await page.mouse.move(from.x + from.width - 2, from.y + from.height / 2)
  await page.mouse.down()
  await page.mouse.move(to.x + 40, to.y + 20, { steps: 8 })
  await page.mouse.up()
  await until(() => document_(page).then(d => d.nodes[0].next), ["look", "notify"])

  // A circle is refused while hovering, with the reason.
  const last = await place(page, "transform"), begin = await place(page, "take")
  await page.mouse.move(last.x + last.width - 2, last.y + last.height / 2)
  await page.mouse.down()
  await page.mouse.move(begin.x + 40, begin.y + 20, { steps: 8 })
  await page.getByText("that would be a circle").waitFor()
  await page.mouse.up()
  await until(() => document_(page).then(d => d.nodes.at(-1).next), undefined)

  await save(page, "Told by mouse")
  assert.deepEqual((await stored("by-mouse")).nodes[0].next, ["look", "notify"])
  await page.getByRole("link", { name: "Run now" }).click()
  await page.getByLabel("Payload").fill(JSON.stringify({ alerts: [{ status: "firing", labels: { alertname: "Disk", host: "db-9" } }] }))
  await page.getByRole("button", { name: "Run now" }).click()
  await page.locator("#run-head").getByText("Completed").waitFor()
  await page.done()
})

test("undo and redo go through every view; rename follows references", async () => {
  const page = await open("undo", { ...simple, nodes: [...simple.nodes.slice(0, 2), { ...simple.nodes[2], when: "nodes.look.output.system.cpu.percent > 90.0" }] })
  await page.locator(".graph-canvas").focus()
  await page.keyboard.press("ArrowRight")
  await page.keyboard.press("F2")
  await page.keyboard.type("machine")
  await page.keyboard.press("Enter")
  await until(() => document_(page).then(d => [d.nodes[0].next, d.nodes[1].id, d.nodes[2].when]), ["machine", "machine", "nodes.machine.output.system.cpu.percent > 90.0"])
  await page.getByRole("tab", { name: "List" }).click()
  await page.getByRole("button", { name: "Remove tell" }).click()
  await until(() => document_(page).then(d => d.nodes.map(n => [n.id, n.next])), [["take", "machine"], ["machine", undefined]])
  await page.getByRole("tab", { name: "JSON" }).click()
  await page.locator(".json-view .cm-content").click()
  await page.keyboard.press("Control+z")
  await page.getByRole("tab", { name: "Graph" }).click()
  await page.getByRole("button", { name: /^Undo/ }).click()
  await until(() => document_(page).then(d => d.nodes.map(n => [n.id, n.next])), [["take", "look"], ["look", "tell"], ["tell", undefined]])
  await page.getByRole("button", { name: /^Redo/ }).click()
  await until(() => document_(page).then(d => d.nodes[1].id), "machine")
  await leave(page)
  await page.done()
})

test("keyboard only: nodes are added, connected, set up and removed", async () => {
  const page = await open("by-keys", simple)
  const canvas = page.locator(".graph-canvas")
  await canvas.focus()
  await page.keyboard.press("ArrowRight")
  await page.keyboard.press("ArrowRight")
  await page.keyboard.press("Control+d")
  await until(() => document_(page).then(d => d.nodes.map(n => n.id)), ["take", "look", "tell", "tell_2"])
  await page.keyboard.press("Enter")
  assert.equal(await page.evaluate(() => document.activeElement.closest(".inspector") !== null), true, "Enter opens the settings")
  // Connect without dragging: the boxes of Next.
  await canvas.focus()
  await page.keyboard.press("Home")
  await page.keyboard.press("ArrowLeft")
  await page.getByRole("tab", { name: "List" }).focus()
  await page.keyboard.press("Enter")
  await page.locator(".node-list summary", { has: page.locator(".name", { hasText: /^look$/ }) }).focus()
  await page.keyboard.press("Enter")
  await page.locator(".node-list li", { has: page.locator(".name", { hasText: /^look$/ }) }).getByRole("group", { name: "Next" }).getByLabel("tell_2").focus()
  await page.keyboard.press("Space")
  await until(() => document_(page).then(d => d.nodes[1].next), ["tell", "tell_2"])
  await page.getByRole("button", { name: "Move tell_2 up" }).focus()
  await page.keyboard.press("Enter")
  await until(() => document_(page).then(d => d.nodes.map(n => n.id)), ["take", "look", "tell_2", "tell"])
  await audit(page, "list, open node")
  await shot(page, "editor-list")
  await leave(page)
  await page.done()
})

test("what the graph cannot show is kept, and numbers keep their digits", async () => {
  const page = await open("exact", { ...simple, description: "kept", defaults: { max_retries: 2 } })
  await page.getByRole("tab", { name: "JSON" }).click()
  const text = await page.locator("textarea[name=config]").inputValue()
  assert.match(text, /"max_retries": 2/)
  await page.getByRole("tab", { name: "List" }).click()
  await page.locator(".node-list summary", { has: page.locator(".name", { hasText: /^look$/ }) }).click()
  await page.locator(".node-list li", { has: page.locator(".name", { hasText: /^look$/ }) }).getByLabel("memory").check()
  await until(() => document_(page), { ...simple, description: "kept", defaults: { max_retries: 2 }, nodes: [simple.nodes[0], { ...simple.nodes[1], config: { include: ["cpu", "memory"] } }, simple.nodes[2]] })
  await leave(page)
  await page.done()
})

test("expressions are completed, and errors stand at their position", async () => {
  const page = await open("cel", simple)
  await node(page, "tell").click()
  await page.getByText("More settings").click()
  const when = page.getByRole("textbox", { name: "Run only if" })
  await when.click()
  await page.keyboard.type("nodes.")
  await page.getByRole("option", { name: /look/ }).click()
  await page.keyboard.type(".output.system.cpu.percent >> 90.0")
  await page.locator(".inspector .cm-lintRange-error").waitFor()
  await page.locator(".inspector .problems", { hasText: "does not compile" }).waitFor()
  await page.locator(".problem-list", { hasText: "line 1, column" }).waitFor()
  await shot(page, "editor-expression")
  await audit(page, "editor with an error")
  await page.getByRole("tab", { name: "JSON" }).click()
  await page.locator(".json-view .cm-lintRange-error").waitFor()
  await leave(page)
  await page.done()
})

test("a dry run shows what each node would do, and sends nothing", async () => {
  const page = await open("dry", simple)
  await page.getByRole("button", { name: "Dry run" }).click()
  await page.getByLabel("Try it with").selectOption("A payload of your own")
  await page.getByRole("button", { name: "Try it" }).click()
  await page.getByText("1 message would be sent.").waitFor()
  await page.locator(".would", { hasText: "DiskFull" }).waitFor()
  await node(page, "tell").getByText("Succeeded").waitFor()
  await audit(page, "dry run")
  await shot(page, "editor-dry-run")
  const { count } = await server.call("GET", "/orchestration/pipelines/?limit=100")
  const runs = await server.call("GET", "/orchestration/pipelines/?limit=100").then(list => list.pipelines.filter(run => run.definition === "dry"))
  assert.equal(runs.length, 0, `of ${count} runs`)
  await page.done()
})

test("a dry run takes the payload of a recent run", async () => {
  const name = "dry-again"
  await server.call("PUT", `/orchestration/definitions/${name}/`, { config: simple })
  await server.call("POST", `/orchestration/definitions/${name}/execute/`, { payload: { alerts: [{ status: "firing", labels: { alertname: "Overheated", host: "rack-9" } }] } })
  const page = await visit(server, { state })
  await page.goto(`/admin/definitions/${name}`)
  await page.getByRole("button", { name: "Dry run" }).click()
  assert.match(await page.getByLabel("Try it with").locator("option:checked").textContent(), /^Run .*completed$/)
  await page.getByRole("button", { name: "Try it" }).click()
  await page.locator(".would", { hasText: "Overheated" }).waitFor()
  await page.locator(".trial-nodes li", { hasText: "look" }).locator("summary").first().click()
  await page.locator(".trial-nodes li", { hasText: "look" }).getByText('"cpu"').first().waitFor()
  await page.done()
})

test("nodes are placed by hand and arranged again; Ctrl+S saves with the note", async () => {
  const page = await open("placed", simple)
  const begin = await place(page, "look")
  await page.mouse.move(begin.x + 40, begin.y + 20)
  await page.mouse.down()
  await page.mouse.move(begin.x + 60, begin.y + 140, { steps: 8 })
  await page.mouse.up()
  const moved = await place(page, "look")
  assert.ok(moved.y - begin.y > 60, `moved from ${begin.y} to ${moved.y}`)
  const canvas = await page.locator(".graph-canvas").boundingBox(), button = await page.getByRole("button", { name: "Check", exact: true }).boundingBox()
  await page.mouse.move(button.x + 20, button.y + 10)
  await page.mouse.down()
  await page.mouse.move(canvas.x + 120, canvas.y + 60, { steps: 8 })
  await page.mouse.up()
  await until(() => document_(page).then(d => d.nodes.map(n => n.id)), ["take", "look", "tell", "check"])
  const dropped = await place(page, "check")
  assert.ok(Math.abs(dropped.x + dropped.width / 2 - canvas.x - 120) < 20, `dropped at ${dropped.x}`)
  await page.locator(".graph-canvas").focus()
  await page.keyboard.press("Delete")
  await until(() => document_(page).then(d => d.nodes.length), 3)
  await page.getByRole("button", { name: "Arrange" }).click()
  const rows = []
  for (const id of ["take", "look", "tell"]) rows.push((await place(page, id)).y)
  assert.ok(Math.max(...rows) - Math.min(...rows) < 2, `arranged in one row: ${rows}`)
  await node(page, "look").click()
  await page.locator(".inspector").getByLabel("memory").check()
  await until(() => document_(page).then(d => d.nodes[1].config.include), ["cpu", "memory"])
  await page.getByLabel("Note kept with the version").fill("by keys")
  await page.keyboard.press("Control+s")
  await page.getByText("Definition saved.").waitFor()
  await page.getByRole("link", { name: "History" }).click()
  await page.getByText("by keys").waitFor()
  await page.getByRole("link", { name: /run/i }).first().waitFor()
  await page.done()
})

test("YAML is converted", async () => {
  const page = await open("yaml", simple)
  await page.getByRole("tab", { name: "JSON" }).click()
  await page.locator(".json-view .cm-content").click()
  await page.keyboard.press("Control+a")
  await page.keyboard.type("x") // over coloured text
  await page.keyboard.press("Control+a")
  await paste(page, 'version: "1.0"\nnodes:\n  - {id: one, type: context}\n')
  await page.getByRole("button", { name: "Convert to JSON" }).click()
  await until(() => document_(page), { version: "1.0", nodes: [{ id: "one", type: "context" }] })
  await leave(page)
  await page.done()
})

test("two editors in conflict: theirs is shown against mine, and can be taken over", async () => {
  const mine = await open("both", simple)
  await server.call("PUT", "/orchestration/definitions/both/", { config: { ...simple, defaults: { max_retries: 7 } }, message: "theirs" })
  await node(mine, "look").click()
  await mine.locator(".inspector").getByLabel("memory").check()
  await until(() => document_(mine).then(d => d.nodes[1].config.include), ["cpu", "memory"])
  mine.expected.push(/409/)
  await mine.getByRole("button", { name: "Save" }).click()
  await mine.getByText("saved version 2 while you were editing").waitFor()
  await audit(mine, "conflict")
  await shot(mine, "editor-conflict")
  await mine.locator(".cm-deletedChunk", { hasText: "max_retries" }).getByRole("button", { name: "Take theirs" }).dispatchEvent("mousedown")
  await until(() => document_(mine).then(d => d.defaults), { max_retries: 7 })
  await save(mine, "both")
  const now = await stored("both")
  assert.deepEqual([now.defaults, now.nodes[1].config.include], [{ max_retries: 7 }, ["cpu", "memory"]])
  await mine.done()
})

test("without scripts the document is a form", async () => {
  await server.call("PUT", "/orchestration/definitions/plain/", { config: simple })
  const page = await visit(server, { state, scripts: false })
  await page.goto("/admin/definitions/plain")
  await page.getByLabel("Document, JSON").fill(JSON.stringify({ ...simple, description: "plain" }))
  await page.getByRole("button", { name: "Save" }).click()
  await page.getByText("Definition saved.").waitFor()
  assert.equal((await stored("plain")).description, "plain")
  await page.done()
})

test("every preset can be saved as it is; a definition can be duplicated", async () => {
  const page = await visit(server, { state })
  await page.goto("/admin/definitions/new")
  const presets = await page.getByRole("navigation", { name: "Begin with" }).getByRole("link").evaluateAll(links => links.map(link => new URL(link.href).searchParams.get("preset")))
  assert.equal(presets.length, 6)
  for (const preset of presets) {
    await page.goto(`/admin/definitions/new?preset=${preset}`)
    await page.getByLabel("Name", { exact: true }).first().fill(`of-${preset}`)
    await page.getByLabel("Active").uncheck()
    await page.getByRole("button", { name: "Create" }).click()
    await page.getByText("Definition created.").waitFor()
  }
  await page.getByRole("link", { name: "Duplicate" }).click()
  await page.getByRole("button", { name: "Create" }).click()
  await page.waitForURL("**/of-local-smart-copy")
  assert.deepEqual(await stored("of-local-smart-copy"), await stored("of-local-smart"))
  await page.done()
})

test("triggers show what they would do", async () => {
  await server.call("POST", "/orchestration/pipeline/sync/?definition=default", { alerts: [{ status: "firing", labels: { alertname: "Load", host: "web-7", severity: "warning" } }] })
  const page = await open("triggered", { ...simple, triggers: { alert: { match: "alert.host == 'web-7'" }, schedule: [{ cron: "0 6 * * *", time_zone: "Europe/Berlin" }] } })
  await page.locator(".inspector .preview", { hasText: /1 of the last \d+ alerts? would have matched/ }).waitFor()
  await page.locator(".inspector .preview", { hasText: "Next, in your time" }).waitFor()
  await page.getByRole("tab", { name: "List" }).click()
  await page.getByText("Triggers and defaults").click()
  await page.locator(".pipeline").getByRole("textbox", { name: "Match" }).waitFor()
  await page.locator(".pipeline").getByLabel("Priority").fill("7")
  await until(() => document_(page).then(d => d.triggers.alert.priority), 7)
  await shot(page, "editor-triggers")
  await audit(page, "triggers")
  await leave(page)
  await page.done()
})

test("the history shows what has changed, and restores", async () => {
  await server.call("PUT", "/orchestration/definitions/told/", { config: simple, message: "first" })
  await server.call("PUT", "/orchestration/definitions/told/", { config: { ...simple, nodes: [simple.nodes[0], { ...simple.nodes[1], config: { include: ["disk"] }, next: "fix" }, { id: "fix", type: "context" }] }, message: "second" })
  const page = await visit(server, { state })
  await page.goto("/admin/definitions/told")
  await page.getByRole("link", { name: "History" }).click()
  for (const [id, change] of [["fix", "Added"], ["tell", "Removed"], ["look", "Changed"]]) await page.locator("svg .node .kind", { hasText: change }).locator("xpath=..", { hasText: id }).waitFor()
  await page.locator(".diff [data-kind=added]", { hasText: '"fix"' }).first().waitFor()
  await audit(page, "history")
  await shot(page, "history")
  await page.getByRole("button", { name: "Restore version 1" }).click()
  await page.getByText("The version was restored as the newest.").waitFor()
  assert.deepEqual(await stored("told"), simple)
  await page.getByText("Rolled back to version 1").waitFor()
  await page.done()
})

test("a picture for the documentation", async () => {
  const page = await visit(server, { state, width: 1200, height: 900 })
  await page.goto("/admin/definitions/new?preset=full")
  await page.getByRole("button", { name: "Dry run" }).click()
  await page.getByLabel("Try it with").selectOption("A payload of your own")
  await page.getByRole("button", { name: "Try it" }).click()
  await page.getByText("1 message would be sent.").waitFor()
  await node(page, "page").getByText("Succeeded").waitFor()
  await node(page, "urgent").click()
  await page.locator(".inspector").getByRole("group", { name: "Cases" }).getByRole("textbox", { name: "When" }).waitFor()
  await page.evaluate(() => document.querySelector(".editor-bar").scrollIntoView())
  await page.mouse.move(5, 5)
  await shot(page, "editor")
  await page.done()
})

test("a graph too large for the screen begins readable; a node is found; the small picture leads everywhere", async () => {
  const nodes = [{ id: "take", type: "ingest", next: "step_0" }, ...Array.from({ length: 58 }, (_, i) => ({ id: `step_${i}`, type: "context", next: i < 57 ? `step_${i + 1}` : "tell" })), { id: "tell", type: "notify", config: { channel: "default" } }]
  const page = await open("large", { version: "1.0", nodes })
  const canvas = await page.locator(".graph-canvas").boundingBox()
  const seen = async id => {
    const box = await node(page, id).boundingBox()
    return box.y + box.height > canvas.y && box.y < canvas.y + canvas.height && box.width > 90
  }
  assert.ok(await seen("take") && !await seen("tell"), "it begins at the beginning")
  await page.keyboard.press("/")
  await page.keyboard.type("ep_40")
  await page.keyboard.press("Enter")
  await page.locator(".inspector h2", { hasText: "step_40" }).waitFor()
  await until(() => seen("step_40"), true) // what was found is on the screen
  await page.keyboard.press("ArrowDown") // the graph has the keys again
  await page.locator(".inspector h2", { hasText: "step_41" }).waitFor()
  const map = await page.locator(".minimap svg").boundingBox()
  await page.mouse.click(map.x + map.width / 2, map.y + map.height - 1)
  await until(async () => await seen("tell") && !await seen("step_40"), true) // the small picture leads to the end
  await page.locator(".graph-canvas").focus()
  await page.keyboard.press("1")
  await until(async () => { // everything is shown
    const all = await node(page, "take").boundingBox(), end = await node(page, "tell").boundingBox()
    return all.y >= canvas.y && end.y + end.height <= canvas.y + canvas.height
  }, true)
  await audit(page, "a large graph")
  // Of many nodes one is named, not ticked in a list.
  const next = page.locator(".inspector").getByRole("group", { name: "Next" })
  await next.getByLabel("Add a node").fill("tell")
  await until(() => document_(page).then(d => d.nodes.find(n => n.id === "step_41").next), ["step_42", "tell"])
  await next.getByLabel("step_42").click()
  await until(() => document_(page).then(d => d.nodes.find(n => n.id === "step_41").next), "tell")
  await leave(page)
  await page.done()
})

test("text that is no JSON keeps the graph as it was, and is not sent", async () => {
  const page = await open("mistyped", simple)
  await page.getByRole("tab", { name: "JSON" }).click()
  await page.locator(".json-view .cm-content").click()
  await page.keyboard.press("Control+Home")
  await page.keyboard.press("ArrowRight")
  await page.keyboard.type(" oops ")
  await page.getByRole("tab", { name: "Graph" }).click()
  await node(page, "tell").waitFor()
  await page.getByText("This is not valid JSON").waitFor()
  await page.getByRole("button", { name: "Save" }).click()
  await page.getByText("Not saved.").waitFor() // and the cursor stands where it stops being JSON
  await page.locator(".json-view .cm-activeLine", { hasText: "oops" }).waitFor()
  await audit(page, "a document that cannot be read")
  await page.keyboard.press("Control+z")
  await page.getByRole("tab", { name: "Graph" }).click()
  await page.getByText("This is not valid JSON").waitFor({ state: "detached" })
  await leave(page)
  await page.done()
})

test("work outlives the session, the server and the page", async () => {
  const page = await open("outlives", simple)
  page.expected.push(/401|ERR_CONNECTION|Failed to load resource|Failed to fetch/)
  await page.getByLabel("Tags").fill("team:db")
  await node(page, "look").click()
  await page.locator(".inspector").getByLabel("memory").check()
  const signedIn = await page.context().cookies()
  await page.context().clearCookies()
  await page.getByRole("button", { name: "Save" }).click()
  await page.getByText("Not saved. You are signed out.").waitFor()
  await page.getByRole("link", { name: "Sign in in another tab" }).waitFor()
  await audit(page, "a session that has ended")
  await page.context().addCookies(signedIn)

  await server.kill()
  await page.getByRole("button", { name: "Save" }).click()
  await page.getByText("Not saved. The server cannot be reached.").waitFor()
  await server.revive()

  page.on("dialog", dialog => dialog.accept())
  await page.reload()
  await page.getByText("What was not saved at").waitFor()
  assert.deepEqual((await document_(page)).nodes[1].config.include, ["cpu", "memory"])
  assert.equal(await page.getByLabel("Tags").inputValue(), "team:db")
  await page.getByRole("button", { name: "Throw it away" }).click()
  assert.deepEqual((await document_(page)).nodes[1].config.include, ["cpu"])
  assert.equal(await page.getByLabel("Tags").inputValue(), "")

  await page.getByLabel("Tags").fill("team:db")
  await save(page, "with a tag")
  await page.goto("/admin/definitions/outlives")
  await page.getByRole("tab", { name: "Graph" }).waitFor()
  assert.equal(await page.getByText("What was not saved at").count(), 0)
  await page.goto("/admin/definitions?tag=team:db")
  assert.deepEqual(await page.locator("tbody .name").allTextContents(), ["outlives"])
  await page.getByRole("link", { name: "Inactive" }).click()
  await page.getByText("No definition matches").waitFor()
  await page.done()
})
