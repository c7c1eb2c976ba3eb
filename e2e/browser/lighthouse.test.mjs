// Lighthouse, as on a desk: what a browser's own examination thinks of the pages.
import assert from "node:assert/strict"
import { createServer } from "node:net"
import { before, test } from "node:test"
import lighthouse from "lighthouse"
import desktop from "lighthouse/core/config/desktop-config.js"
import { everyPage, launch, serve, setUp } from "./harness.mjs"

let server, port, pages

const free = () => new Promise(resolve => {
  const probe = createServer().listen(0, "127.0.0.1", () => { const { port } = probe.address(); probe.close(() => resolve(port)) })
})

before(async () => {
  server = await serve()
  pages = await everyPage(server, await setUp(server))
  port = await free()
  await launch([`--remote-debugging-port=${port}`])
})

const share = category => Math.round(category.score * 100)

test("the pages, on a desk", async t => {
  for (const [name, path] of pages) {
    await t.test(name, async () => {
      const headers = name === "login" ? {} : { Authorization: `Bearer ${server.token}` }
      let found
      // What others do on the machine at the moment slows the page too: the best of three counts.
      for (let tries = 0; tries < 3 && !(found?.performance.score >= 0.95); tries++) {
        const { lhr } = await lighthouse(server.url + path, { port, logLevel: "error", extraHeaders: headers, onlyCategories: ["performance", "accessibility", "best-practices"] }, desktop)
        found = lhr.categories
        const lost = Object.values(lhr.audits).filter(audit => audit.score !== null && audit.score < 1 && found.accessibility.auditRefs.concat(found["best-practices"].auditRefs).some(ref => ref.id === audit.id && ref.weight > 0))
        assert.deepEqual(lost.map(audit => `${audit.id}: ${audit.title} ${(audit.details?.items ?? []).map(item => item.node?.selector ?? "").join(", ")}`), [])
      }
      assert.ok(share(found.performance) >= 95, `performance ${share(found.performance)}`)
      assert.deepEqual([share(found.accessibility), share(found["best-practices"])], [100, 100])
    })
  }
})
