// What the stories share: the built binary on an empty data folder, a browser that notices what must
// not happen (console errors, policy violations, requests to other places), and the page checks.
import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { once } from "node:events"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after } from "node:test"
import { HtmlValidate } from "html-validate"
import { chromium } from "playwright-core"

const root = new URL("../..", import.meta.url).pathname
const { resolve: packaged } = createRequire(import.meta.url)
const axe = readFileSync(packaged("axe-core/axe.min.js"), "utf8")
const shots = process.env.PENSTOCK_SHOTS // folder for screenshots; none are made without it
const markup = new HtmlValidate({
  extends: ["html-validate:recommended"],
  rules: {
    "doctype-style": "off",
    "form-dup-name": ["error", { shared: ["radio", "checkbox", "button", "reset", "submit"] }], // boxes of one choice
    "long-title": "off", // a title begins with the name of what is shown
    "no-trailing-whitespace": "off", // between the elements of a template
    "script-type": "off", // type=application/json holds data
    "void-style": "off",
    "attribute-boolean-style": "off",
    "no-implicit-button-type": "error",
  },
})

const ends = [] // what was started, newest first
after(async () => { for (const end of ends) await end() })

export const password = "correct horse battery"

// serve starts the binary; it is stopped after the tests of the file.
export async function serve(env = {}) {
  const folder = mkdtempSync(join(tmpdir(), "penstock-browser-"))
  let child, ended
  const start = listen => {
    child = spawn(join(root, "bin/penstock"), ["serve"], {
      env: { PATH: process.env.PATH, HOME: folder, PENSTOCK_DATA_DIR: folder, PENSTOCK_LISTEN: listen, PENSTOCK_OPS_LISTEN: "127.0.0.1:0", PENSTOCK_LOG_LEVEL: "error", PENSTOCK_ALLOW_PRIVATE_TARGETS: "127.0.0.1/32", ...env },
    })
    ended = new Promise(resolve => child.on("exit", resolve))
    child.stderr.pipe(process.stderr)
  }
  start("127.0.0.1:0")
  ends.unshift(async () => { child.kill("SIGTERM"); await ended; rmSync(folder, { recursive: true, force: true }) })
  const setup = await new Promise((resolve, reject) => {
    let said = ""
    child.stdout.setEncoding("utf8").on("data", text => {
      said += text
      const link = said.match(/http\S+\/setup\?token=\S+/)
      if (link) resolve(link[0])
    })
    ended.then(code => reject(new Error(`the server stopped with ${code}:\n${said}`)))
  })
  const url = new URL(setup).origin
  const token = readFileSync(join(folder, "initial-admin-token"), "utf8").trim()
  return {
    url, setup, token,
    // kill stops the process without a warning; revive starts it again at the same address.
    async kill() { child.kill("SIGKILL"); await ended },
    async revive() {
      start(new URL(url).host)
      while (!await fetch(`${url}/readyz`).then(answer => answer.ok, () => false)) await new Promise(resolve => setTimeout(resolve, 50))
    },
    // call is a request of the REST API with the administrator's token.
    async call(method, path, body) {
      const answer = await fetch(url + path, { method, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) })
      const text = await answer.text()
      assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`)
      return text ? JSON.parse(text) : null
    },
  }
}

// components starts the page with the parts of the design system.
export async function components() {
  const child = spawn(join(root, "bin/components"))
  const ended = new Promise(resolve => child.on("exit", resolve))
  ends.unshift(async () => { child.kill("SIGTERM"); await ended })
  child.stderr.pipe(process.stderr)
  const [said] = await once(child.stdout.setEncoding("utf8"), "data")
  return { url: new URL(said.trim()).origin }
}

// launch starts a browser; it is closed after the tests of the file.
export async function launch(args = []) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...args],
  })
  ends.unshift(() => browser.close())
  return browser
}

let browser

// visit opens a page in a browser profile of its own. At its end the profile must have seen nothing
// that must not happen; page.expected lists patterns of console errors that the story provokes.
export async function visit(server, { width = 1440, height = 900, dark = false, scripts = true, state } = {}) {
  browser ??= await launch()
  const context = await browser.newContext({
    baseURL: server.url, viewport: { width, height }, colorScheme: dark ? "dark" : "light", javaScriptEnabled: scripts,
    reducedMotion: "reduce", hasTouch: width < 500, storageState: state, timezoneId: "UTC", locale: "en-GB",
  })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  page.expected = []
  const seen = []
  page.on("console", message => { if (message.type() === "error") seen.push(`console: ${message.text()} (${message.location().url})`) })
  page.on("pageerror", error => seen.push(`script error: ${error.stack}`))
  page.on("request", request => { if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== server.url) seen.push(`foreign request: ${request.url()}`) })
  page.done = async () => {
    await context.close()
    assert.deepEqual(seen.filter(line => !page.expected.some(pattern => pattern.test(line))), [], "the browser noticed")
  }
  return page
}

// setUp makes the first administrator by the one-time link and returns the signed-in state.
export async function setUp(server) {
  const page = await visit(server)
  await page.goto(server.setup)
  await page.getByLabel("Name").fill("ada")
  await page.getByLabel("Password").fill(password)
  await page.getByRole("button", { name: "Create administrator" }).click()
  await page.waitForURL("**/admin/")
  const state = await page.context().storageState()
  await page.done()
  return state
}

// everyPage lists the pages of the admin as [name, address], with a record on each that shows one.
export async function everyPage(server, state) {
  const { run_id: run, incident_id: incident } = await server.call("POST", "/orchestration/pipeline/sync/?definition=default", {
    alerts: [{ status: "firing", labels: { alertname: "DiskFull", host: "db-1", severity: "critical" }, annotations: { summary: "/var on db-1 is 97 % full" } }],
  })
  assert.ok(run && incident, "an alert starts a run and opens an incident")
  for (const config of [{ include: ["cpu"] }, { include: ["disk"] }]) await server.call("PUT", "/orchestration/definitions/changed/", { config: { version: "1.0", nodes: [{ id: "look", type: "context", config }] } })
  const page = await visit(server, { state })
  const first = async list => {
    await page.goto(list)
    return page.locator("[data-row]").first().getAttribute("href")
  }
  const pages = [
    ["login", "/login"], ["overview", "/admin/"], ["incidents", "/admin/incidents"], ["incident", `/admin/incidents/${incident}`],
    ["runs", "/admin/runs"], ["run", `/admin/runs/${run}`], ["definitions", "/admin/definitions"],
    ["definition-new", "/admin/definitions/new"], ["definition", "/admin/definitions/default"],
    ["history", "/admin/definitions/changed/history"], ["execute", "/admin/definitions/default/execute"], ["settings", "/admin/settings"],
    ["alerts", "/admin/alerts"], ["alert", await first("/admin/alerts")], ["deliveries", "/admin/deliveries"], ["delivery", await first("/admin/deliveries")],
    ["notifications", "/admin/notifications"], ["search", "/admin/search?q=disk"], ["schedules", "/admin/settings/schedules"], ["tokens", "/admin/settings/tokens"],
    ["users", "/admin/settings/users"], ["channel-kinds", "/admin/settings/channels/new"], ["channel-new", "/admin/settings/channels/new?driver=email"], ["channel", "/admin/settings/channels/default"],
    ["source-new", "/admin/settings/sources/new"], ["source", "/admin/settings/sources/generic"], ["providers", "/admin/settings/providers"], ["account", "/admin/settings/account"], ["about", "/admin/settings/about"],
  ]
  await page.done()
  return pages
}

// audit checks what is on the page with axe, that nothing is wider than the screen, and that what is closed is not seen.
export async function audit(page, name) {
  await page.evaluate(axe)
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"], rules: { region: { enabled: true }, "target-size": { enabled: true } } }))
  // A target below a bar that sticks to the edge can be scrolled free.
  const lines = found.violations.flatMap(v => v.nodes.filter(n => !n.failureSummary.includes("partially obscured")).map(n => `${v.id}: ${n.target.join(" ")}: ${n.failureSummary}`))
  assert.deepEqual(lines, [], `axe on ${name}`)
  const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth])
  assert.ok(wide <= screen, `${name} is ${wide} px wide on a screen of ${screen} px`)
  assert.equal(await page.locator("dialog:not([open])").filter({ visible: true }).count(), 0, `a closed dialog is seen on ${name}`)
}

// validate checks the document as the server sends it with html-validate, and keeps it for vnu.
export async function validate(page, path) {
  const answer = await page.context().request.get(path)
  const text = await answer.text()
  documents.set(path, text)
  const report = await markup.validateString(text)
  const lines = report.results.flatMap(r => r.messages.map(m => `${m.line}:${m.column} ${m.ruleId}: ${m.message}`))
  assert.deepEqual(lines, [], `html-validate on ${path}`)
}

const documents = new Map()

// conforms checks all that was validated with the Nu HTML checker, which needs Java. It knows no HTMX.
export function conforms() {
  const folder = mkdtempSync(join(tmpdir(), "penstock-vnu-"))
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  const files = [...documents].map(([path, text]) => {
    const file = join(folder, `${path.replaceAll("/", "_")}.html`)
    writeFileSync(file, text)
    return file
  })
  const run = spawnSync("java", ["-jar", packaged("vnu-jar/build/dist/vnu.jar"), "--errors-only", "--filterpattern", ".*Attribute .hx-.*", ...files], { encoding: "utf8" })
  if (run.error) throw run.error
  assert.equal(run.stderr.trim().replaceAll(folder, ""), "", "vnu")
  assert.equal(run.status, 0, "vnu")
  return files.length
}

// shot keeps a picture for people to look at.
export async function shot(page, name) {
  if (!shots) return
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: join(shots, `${name}.png`), animations: "disabled" })
}
