// What an operator does all day: several records at once by the keys, a run that is followed through the death of
// the server, a source with its configuration, a password; and all of it without scripts.
import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"
import { after, before, test } from "node:test"
import { audit, password, serve, setUp, shot, visit } from "./harness.mjs"

let server, state, receiver
const held = [] // answers that the receiver has not given yet
const alert = (name, host) => ({ alerts: [{ status: "firing", labels: { alertname: name, host, severity: "critical" } }] })

before(async () => {
  server = await serve()
  state = await setUp(server)
  receiver = createServer((request, answer) => {
    request.resume()
    if (request.url === "/hold") held.push(answer); else answer.end("{}")
  }).listen(0, "127.0.0.1")
  await once(receiver, "listening")
  receiver.url = `http://127.0.0.1:${receiver.address().port}`
})
after(() => receiver.close())

test("several incidents are taken on together by the keys, and stay chosen while the list refreshes", async () => {
  for (const host of ["db-1", "db-2", "db-3"]) await server.call("POST", "/orchestration/pipeline/sync/?definition=default", alert("DiskFull", host))
  const page = await visit(server, { state })
  await page.goto("/admin/incidents")
  const refreshed = page.waitForResponse(response => response.url().includes("rows="))
  for (const key of ["j", "x", "j", "j", "Shift+X"]) await page.keyboard.press(key)
  await page.getByText("Chosen incidents:").waitFor()
  await refreshed
  await page.waitForFunction(() => document.querySelectorAll("[data-choose]:checked").length === 3)
  await audit(page, "incidents, three chosen")
  await shot(page, "incidents-chosen")
  await page.getByRole("button", { name: "Acknowledge" }).click()
  await page.getByText("3 acknowledged.").waitFor()
  await page.goto("/admin/incidents?status=acknowledged")
  assert.equal(await page.locator("tbody tr").count(), 3)
  await page.keyboard.press("j")
  await page.keyboard.press("Enter")
  await page.waitForURL("**/admin/incidents/*")
  await page.done()
})

test("a run is followed through the death of the server, without a gap", async () => {
  await server.call("PUT", "/orchestration/channels/held/", { driver: "generic", config: { endpoint: `${receiver.url}/hold` } })
  await server.call("PUT", "/orchestration/definitions/held/", { config: { version: "1.0", nodes: [{ id: "look", type: "context", next: "tell" }, { id: "tell", type: "notify", config: { channel: "held" }, timeout_seconds: 60, next: "after" }, { id: "after", type: "context" }] } })
  const page = await visit(server, { state })
  page.expected.push(/ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)|htmx:sse:error/)
  await page.goto("/admin/definitions/held/execute")
  await page.getByRole("button", { name: "Run now" }).click()
  await page.waitForURL("**/admin/runs/*")
  while (!held.length) await page.waitForTimeout(50)
  await server.kill()
  await page.getByText("Reconnecting…").waitFor()
  await server.revive()
  while (held.length < 2) await page.waitForTimeout(50) // the attempt that nobody saw end is made again
  await page.locator("#live-state[data-state=live]").waitFor()
  for (const answer of held) answer.end("{}")
  await page.locator("#run-head").getByText("Completed").waitFor()
  await page.locator("#live-state[data-state=off]").waitFor({ state: "attached" })
  const read = () => page.evaluate(() => ({
    log: [...document.querySelectorAll("#log > li")].map(line => [line.id, line.querySelector(".line").textContent]),
    stages: [...document.querySelectorAll("[data-version][id^=stage-]")].map(row => [row.id, row.dataset.version]),
  }))
  const followed = await read()
  await page.reload()
  assert.deepEqual(followed, await read(), "what was followed is not what happened")
  assert.ok(followed.log.length > 4 && followed.stages.length === 3, JSON.stringify(followed))
  await page.done()
})

test("a source gets its address, its token and a configuration to paste", async () => {
  const page = await visit(server, { state })
  await page.goto("/admin/settings")
  await page.getByRole("link", { name: "New source" }).click()
  await page.getByLabel("Name").fill("berlin")
  await page.getByLabel("What it sends", { exact: true }).selectOption({ label: "Prometheus Alertmanager" })
  await page.getByRole("button", { name: "Save" }).click()
  await page.getByText("Source saved.").waitFor()
  await page.getByRole("button", { name: "Make a token for it" }).click()
  const token = await page.locator("#made").textContent()
  await page.getByText("Configuration for Alertmanager").click()
  const config = await page.locator("#alertmanager-config").textContent()
  assert.ok(config.includes(`${server.url}/webhooks/berlin`) && config.includes(token), config)
  const answer = await fetch(`${server.url}/webhooks/berlin`, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: JSON.stringify(alert("Load", "web-1")) })
  assert.equal(answer.status, 202)
  await page.done()
})

test("without scripts: an incident is taken on, a password changed, a test sent", async () => {
  await server.call("POST", "/orchestration/pipeline/sync/?definition=default", alert("Overheated", "rack-1"))
  await server.call("PUT", "/orchestration/channels/ops/", { driver: "generic", config: { endpoint: `${receiver.url}/` } })
  const page = await visit(server, { state, scripts: false })
  await page.goto("/admin/incidents")
  await page.getByRole("checkbox", { name: /Overheated/ }).check()
  await page.getByRole("button", { name: "Acknowledge" }).click()
  await page.getByText("1 acknowledged.").waitFor()
  await page.goto("/admin/settings")
  await page.getByRole("button", { name: "Send a test to ops" }).click()
  await page.getByText("The test passed.").waitFor()
  await page.goto("/admin/settings/account")
  await page.getByLabel("Present password").fill(password)
  await page.getByLabel("New password").fill(`${password} again`)
  await page.getByRole("button", { name: "Change the password" }).click()
  await page.getByText("Password changed.").waitFor()
  await page.done()
})

test("pictures for the documentation", async () => {
  await server.call("PUT", "/orchestration/channels/pager/", { driver: "generic", config: { endpoint: "http://127.0.0.1:1/" } })
  await server.call("PUT", "/orchestration/definitions/db-alerts/", {
    config: { version: "1.0", nodes: [
      { id: "ingest", type: "ingest", next: ["look", "think"] }, { id: "look", type: "context", next: "tell" },
      { id: "think", type: "intelligence", config: { provider: "local" }, next: "tell" }, { id: "tell", type: "notify", config: { channel: "pager" }, max_retries: 1 },
    ] },
  })
  for (const [name, host] of [["PostgresDown", "db-1"], ["ReplicationLag", "db-2"]]) await server.call("POST", "/orchestration/pipeline/sync/?definition=default", alert(name, host))
  const failed = await server.call("POST", "/orchestration/pipeline/sync/?definition=db-alerts", alert("DiskFull", "db-9"))
  assert.equal(failed.status, "failed")
  const page = await visit(server, { state: await signIn(), width: 1200, height: 900 })
  await page.goto("/admin/")
  await page.getByText("Failed in the last 24 hours").waitFor()
  await shot(page, "overview")
  await page.goto(`/admin/runs/${failed.run_id}`)
  await shot(page, "run")
  await page.done()
})

// signIn is a new session: a password that was changed has ended those before.
async function signIn() {
  for (const known of [password, `${password} again`]) {
    const page = await visit(server)
    page.expected.push(/401/)
    await page.goto("/login")
    await page.getByLabel("Name").fill("ada")
    await page.getByLabel("Password").fill(known)
    await page.getByRole("button", { name: "Sign in" }).click()
    await page.waitForLoadState()
    const state = await page.context().storageState()
    const inside = !page.url().includes("/login")
    await page.done()
    if (inside) return state
  }
  throw new Error("nobody could sign in")
}
