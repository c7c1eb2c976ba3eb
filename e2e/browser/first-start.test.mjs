// From the one-time link to the first notification, and the way out and in again.
import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"
import { test } from "node:test"
import { audit, password, serve, setUp, visit } from "./harness.mjs"

test("first start to first notification", async () => {
  const server = await serve()
  const page = await visit(server)
  await page.goto(server.setup)
  await audit(page, "set-up")
  await page.getByLabel("Name").fill("ada")
  await page.getByLabel("Password").fill(password)
  await page.getByRole("button", { name: "Create administrator" }).click()
  await page.waitForURL("**/admin/")

  await page.goto("/admin/definitions/default/execute")
  await page.getByLabel("Payload").fill(JSON.stringify({ alerts: [{ status: "firing", labels: { alertname: "DiskFull", host: "db-1", severity: "critical" } }] }))
  await page.getByRole("button", { name: "Run now" }).click()
  await page.waitForURL("**/admin/runs/*")
  await page.locator("#run-head").getByText("Completed").waitFor()

  await page.goto("/admin/incidents")
  await page.getByRole("link", { name: /DiskFull/ }).click()
  await page.getByRole("button", { name: "Acknowledge" }).click()
  await page.locator(".badge", { hasText: "Acknowledged" }).first().waitFor()
  await page.done()
})

test("the set-up link works once; signing in leads back to where one wanted to go", async () => {
  const server = await serve()
  const page = await visit(server)
  await page.goto(server.setup)
  await page.getByLabel("Name").fill("ada")
  await page.getByLabel("Password").fill(password)
  await page.getByRole("button", { name: "Create administrator" }).click()
  await page.waitForURL("**/admin/")
  await page.getByRole("button", { name: "Sign out" }).click()
  await page.waitForURL("**/login")

  page.expected.push(/40[134]|410|422/)
  const again = await page.goto(server.setup)
  assert.ok(again.status() >= 400, `the link answered ${again.status()}`)

  await page.goto("/admin/runs?status=failed")
  await page.getByLabel("Name").fill("ada")
  await page.getByLabel("Password").fill("wrong password here")
  await page.getByRole("button", { name: "Sign in" }).click()
  await page.getByRole("alert").waitFor()
  await page.getByLabel("Password").fill(password)
  await page.keyboard.press("Enter")
  await page.waitForURL("**/admin/runs?status=failed")
  await page.done()
})

test("the overview leads a new installation to its first notification", async t => {
  const got = []
  const receiver = createServer(async (request, answer) => {
    let body = ""
    for await (const part of request) body += part
    got.push(JSON.parse(body))
    answer.end("{}")
  }).listen(0, "127.0.0.1")
  await once(receiver, "listening")
  t.after(() => { receiver.close(); receiver.closeAllConnections() })
  const server = await serve()
  const page = await visit(server, { state: await setUp(server) })
  const step = text => page.getByRole("region", { name: "Until the first notification" }).getByRole("listitem").filter({ hasText: text })
  const go = async text => { await page.goto("/admin/"); await step(text).getByRole("link").click() }

  await go("A channel that reaches a person")
  await page.getByRole("link", { name: /webhook|generic/i }).click()
  await page.getByLabel("Name", { exact: true }).fill("ops")
  await page.getByLabel("Endpoint").fill(`http://127.0.0.1:${receiver.address().port}/`)
  await page.getByRole("button", { name: "Save" }).click()
  await page.getByText("Channel saved.").waitFor()
  await go("A test message has arrived")
  await page.getByRole("button", { name: /test/i }).click()
  await page.getByText("200").first().waitFor()
  await go("A token for the sender of alerts")
  await page.getByLabel("Name", { exact: true }).fill("alertmanager")
  await page.getByRole("checkbox", { name: /^ingest/ }).check()
  await page.getByRole("button", { name: /Make/ }).click()
  const token = await page.locator("#made").textContent()
  // The definition that takes every alert tells the new channel.
  await go("A pipeline tells it")
  await page.getByRole("tab", { name: "List" }).click()
  await page.locator(".node-list summary", { has: page.locator(".name", { hasText: /^notify$/ }) }).click()
  await page.locator(".node-list").getByLabel("Channel", { exact: true }).fill("ops")
  await page.getByRole("button", { name: "Save" }).click()
  await page.getByText("Definition saved.").waitFor()
  await page.goto("/admin/")
  await audit(page, "overview, half way")
  const sent = await fetch(`${server.url}/webhooks/alertmanager`, {
    method: "POST", headers: { Authorization: `Bearer ${token.trim()}`, "Content-Type": "application/json" },
    body: JSON.stringify({ receiver: "penstock", status: "firing", alerts: [{ status: "firing", fingerprint: "a1", startsAt: "2026-01-02T03:04:05Z", labels: { alertname: "DiskFull", host: "db-1", severity: "critical" } }] }),
  })
  assert.equal(sent.status, 202)
  for (const end = Date.now() + 15_000; Date.now() < end && !got.some(body => JSON.stringify(body).includes("db-1"));) await new Promise(resolve => setTimeout(resolve, 50))
  assert.ok(got.some(body => JSON.stringify(body).includes("db-1")), JSON.stringify(got))
  await page.goto("/admin/")
  await page.getByRole("heading", { name: "Overview" }).waitFor()
  assert.equal(await page.getByText("Until the first notification").count(), 0, "all is done")
  await page.done()
})
