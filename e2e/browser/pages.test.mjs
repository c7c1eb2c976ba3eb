// Every page: axe in light, dark and at 320 px, valid markup, nothing wider than the screen, nothing
// in the console. Pictures of each at 1440 and 390 px.
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { audit, components, conforms, serve, setUp, shot, validate, visit } from "./harness.mjs"

let server, state
const pages = [["login", "/login"]]

// first is the address of the newest record of a list.
async function first(list) {
  const page = await visit(server, { state })
  await page.goto(list)
  const address = await page.locator("[data-row]").first().getAttribute("href")
  await page.done()
  return address
}

before(async () => {
  server = await serve()
  state = await setUp(server)
  const alert = await server.call("POST", "/orchestration/pipeline/sync/?definition=default", {
    alerts: [{ status: "firing", labels: { alertname: "DiskFull", host: "db-1", severity: "critical" }, annotations: { summary: "/var on db-1 is 97 % full" } }],
  })
  const { run_id: run, incident_id: incident } = alert
  assert.ok(run && incident, JSON.stringify(alert))
  pages.push(
    ["overview", "/admin/"], ["incidents", "/admin/incidents"], ["incident", `/admin/incidents/${incident}`],
    ["runs", "/admin/runs"], ["run", `/admin/runs/${run}`], ["definitions", "/admin/definitions"],
    ["definition-new", "/admin/definitions/new"], ["definition", "/admin/definitions/default"],
    ["history", "/admin/definitions/default/history"], ["execute", "/admin/definitions/default/execute"], ["settings", "/admin/settings"],
    ["alerts", "/admin/alerts"], ["alert", await first("/admin/alerts")], ["deliveries", "/admin/deliveries"], ["delivery", await first("/admin/deliveries")],
    ["notifications", "/admin/notifications"], ["search", "/admin/search?q=disk"], ["schedules", "/admin/settings/schedules"], ["tokens", "/admin/settings/tokens"],
    ["users", "/admin/settings/users"], ["channel-kinds", "/admin/settings/channels/new"], ["channel", "/admin/settings/channels/new?driver=email"],
    ["source-new", "/admin/settings/sources/new"], ["source", "/admin/settings/sources/generic"], ["providers", "/admin/settings/providers"], ["account", "/admin/settings/account"], ["about", "/admin/settings/about"],
  )
})

const looks = [
  { name: "light", width: 1440 }, { name: "dark", width: 1440, dark: true },
  { name: "phone", width: 390, height: 844 }, { name: "phone-dark", width: 390, height: 844, dark: true }, { name: "narrow", width: 320, height: 640 },
]
for (const look of looks) {
  test(`pages, ${look.name}`, async () => {
    const page = await visit(server, { ...look, state })
    for (const [name, path] of pages) {
      if (name === "login") await page.context().clearCookies()
      else if (name === "overview") await page.context().addCookies(state.cookies)
      await page.goto(path)
      await audit(page, `${name}, ${look.name}`)
      if (look.name === "light") await validate(page, path)
      if (look.name !== "narrow") await shot(page, `${name}-${look.name}`)
    }
    await page.done()
  })
}

test("the parts of the design system", async () => {
  const parts = await components()
  for (const look of looks) {
    const page = await visit(parts, look)
    await page.goto("/")
    await page.getByRole("button", { name: "Open a dialog" }).waitFor()
    await audit(page, `components, ${look.name}`)
    if (look.name === "light") await validate(page, "/")
    await shot(page, `components-${look.name}`)
    await page.getByRole("button", { name: "Open a dialog" }).click()
    await audit(page, `a dialog, ${look.name}`)
    await page.done()
  }
})

test("the Nu HTML checker finds no error", () => {
  assert.equal(conforms(), pages.length + 1)
})

test("the first load is under 100 KB compressed", async () => {
  const page = await visit(server, { state })
  const session = await page.context().newCDPSession(page)
  await session.send("Network.enable")
  let bytes = 0
  session.on("Network.loadingFinished", event => { bytes += event.encodedDataLength })
  await page.goto("/admin/", { waitUntil: "networkidle" })
  assert.ok(bytes > 10_000 && bytes < 100_000, `${bytes} bytes`)
  await page.done()
})
