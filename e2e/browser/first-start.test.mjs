// From the one-time link to the first notification, and the way out and in again.
import assert from "node:assert/strict"
import { test } from "node:test"
import { audit, password, serve, visit } from "./harness.mjs"

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
