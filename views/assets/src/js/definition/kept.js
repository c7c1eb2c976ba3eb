// Work that is not saved yet, kept in the tab: a session that ends, a server that goes away or a page
// that is loaded again do not cost it. It is gone when it is saved, thrown away, or the tab is closed.

// fieldsOf is what a form holds besides the document.
const fieldsOf = form => [...form.elements].filter(field => ["name", "description", "tags", "active", "message"].includes(field.name))

export class Kept {
  constructor(form, { user, version }) {
    Object.assign(this, { form, user, version, key: `draft ${location.pathname}${location.search}` })
  }

  // write keeps what the form and the document hold now.
  write(config) {
    const fields = Object.fromEntries(fieldsOf(this.form).map(field => [field.name, field.type === "checkbox" ? field.checked : field.value]))
    try {
      sessionStorage.setItem(this.key, JSON.stringify({ config, fields, user: this.user, version: this.version, at: Date.now() }))
    } catch { /* no room: the page still asks before it is left */ }
  }

  // arrived forgets the page on which a definition was begun, once it has been created.
  arrived(name) {
    for (const key of Object.keys(sessionStorage).filter(key => key.startsWith("draft /admin/definitions/new"))) {
      const kept = JSON.parse(sessionStorage.getItem(key))
      if (kept.sent && kept.fields.name === name) sessionStorage.removeItem(key)
    }
  }

  // read returns what was kept if it is the reader's, and its fields are put back.
  read(config) {
    const kept = JSON.parse(sessionStorage.getItem(this.key) ?? "null")
    if (!kept || kept.user !== this.user || kept.config === config || kept.sent && kept.version !== this.version) {
      this.forget()
      return null
    }
    for (const field of fieldsOf(this.form)) {
      if (field.type === "checkbox") field.checked = kept.fields[field.name] ?? field.checked
      else field.value = kept.fields[field.name] ?? field.value
    }
    const expected = this.form.elements.expected_version
    if (expected) {
      this.newest = expected.value
      expected.value = this.version = kept.version // what was begun from: a save that came between is a conflict
    }
    return kept
  }

  // sent marks what is on its way: once the definition has another version, it has arrived.
  sent(config) {
    this.write(config)
    const kept = JSON.parse(sessionStorage.getItem(this.key) ?? "null")
    if (kept) sessionStorage.setItem(this.key, JSON.stringify({ ...kept, sent: true }))
  }

  // drop goes back to what is stored.
  drop() {
    this.form.reset()
    if (this.newest) this.form.elements.expected_version.value = this.version = this.newest
    this.forget()
  }

  forget() { sessionStorage.removeItem(this.key) }
}
