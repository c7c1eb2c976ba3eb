// Every page: axe in light, dark and at 320 px, valid markup, nothing wider than the screen, nothing
// in the console. Pictures of each at 1440 and 390 px.
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { audit, components, conforms, everyPage, serve, setUp, shot, validate, visit } from "./harness.mjs"

let server, state, pages

before(async () => {
  server = await serve()
  state = await setUp(server)
  pages = await everyPage(server, state)
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

test("the first load of every page but the editor's is under 100 KB compressed", async t => {
  let largest = 0
  for (const [name, path] of pages.filter(([name]) => !["definition", "definition-new"].includes(name))) {
    const page = await visit(server, { state }) // a profile of its own: nothing is cached
    const session = await page.context().newCDPSession(page)
    await session.send("Network.enable")
    let bytes = 0
    session.on("Network.loadingFinished", event => { bytes += event.encodedDataLength })
    await page.goto(path, { waitUntil: "load" })
    assert.ok(bytes > 10_000 && bytes < 100_000, `${name}: ${bytes} bytes`)
    largest = Math.max(largest, bytes)
    await page.done()
  }
  t.diagnostic(`the largest: ${largest} bytes`)
})
