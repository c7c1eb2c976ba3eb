// What a person on call does: an incident on a phone in two touches, a list that is read while it changes,
// the search over everything.
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { audit, serve, setUp, visit } from "./harness.mjs"

let server, state
const alert = (name, host) => ({ alerts: [{ status: "firing", labels: { alertname: name, host, severity: "critical" } }] })

before(async () => {
  server = await serve()
  state = await setUp(server)
  await server.call("POST", "/orchestration/pipeline/sync/?definition=default", alert("DiskFull", "db-1"))
})

test("an incident is acknowledged on a phone in two touches", async () => {
  const page = await visit(server, { width: 390, height: 844, state })
  await page.goto("/admin/incidents")
  await page.getByRole("link", { name: /DiskFull/ }).tap()
  await page.getByRole("button", { name: "Acknowledge" }).tap()
  await page.locator(".story").getByText("acknowledged it").waitFor()
  assert.equal(await page.getByRole("button", { name: "Acknowledge" }).count(), 0)

  await page.getByRole("textbox", { name: "Note" }).fill("The log had grown.\nRotated it.")
  await page.getByRole("button", { name: "Add the note" }).tap()
  await page.locator(".story").getByText("Rotated it.").waitFor()
  await audit(page, "incident with a note")
  await page.done()
})

test("a list that is open keeps its rows and counts what is new", async () => {
  const page = await visit(server, { state })
  await page.goto("/admin/runs")
  const rows = () => page.locator("tbody tr").evaluateAll(list => list.map(row => row.id))
  const before = await rows()
  await server.call("POST", "/orchestration/pipeline/sync/?definition=default", alert("HighLoad", "web-2"))
  await page.getByRole("link", { name: "1 new", exact: true }).waitFor()
  assert.deepEqual(await rows(), before)
  await page.getByRole("link", { name: "1 new", exact: true }).click()
  await page.waitForFunction(n => document.querySelectorAll("tbody tr").length > n, before.length)
  await page.done()
})

test("Ctrl+K goes to an incident by a word", async () => {
  const page = await visit(server, { state })
  await page.goto("/admin/")
  await page.keyboard.press("Control+k")
  await page.keyboard.type("HighLoad")
  await page.locator("#palette-hits a", { hasText: "HighLoad" }).waitFor()
  await audit(page, "the search")
  await page.keyboard.press("Enter")
  await page.waitForURL("**/admin/incidents/*")
  await page.done()
})
