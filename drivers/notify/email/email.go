// Package email sends messages by SMTP.
package email

import (
	"cmp"
	"context"
	"fmt"
	"net/mail"
	"strings"

	"penstock/drivers"
	"penstock/drivers/notify"
	"penstock/drivers/outbound"
	"penstock/fault"
)

// Config are the settings of the driver.
type Config struct {
	Host     string         `json:"host,omitempty" jsonschema:"title=Host,description=Name of the SMTP server."`
	Port     int            `json:"port,omitempty" jsonschema:"title=Port,description=Port of the SMTP server. Without it: 587 for starttls\\, 465 for tls\\, 25 for none.,minimum=1,maximum=65535"`
	Username string         `json:"username,omitempty" jsonschema:"title=User name,description=User name for the SMTP server. Leave it out if the server wants none."`
	Password drivers.Secret `json:"password,omitzero" jsonschema:"title=Password,description=Password for the SMTP server. It is only ever sent encrypted."`
	From     string         `json:"from,omitempty" jsonschema:"title=From,description=Sender\\, like: Penstock <penstock@example.com>"`
	To       []string       `json:"to,omitempty" jsonschema:"title=To,description=Recipients\\, one address each. A channel in the notify node replaces them."`
	TLS      string         `json:"tls,omitempty" jsonschema:"title=Encryption,description=starttls: the connection must become encrypted. tls: it is encrypted from the start. none: never\\, for a relay inside your own network.,enum=starttls,enum=tls,enum=none,default=starttls"`
}

// Kind is the e-mail driver.
func Kind(deps notify.Deps) drivers.Kind[notify.Driver] {
	return drivers.Define("email", "E-mail", func(_ context.Context, c Config) (notify.Driver, error) {
		c.TLS = cmp.Or(c.TLS, "starttls")
		c.Port = cmp.Or(c.Port, map[string]int{"starttls": 587, "tls": 465, "none": 25}[c.TLS])
		d := &driver{deps: deps, config: c}
		var err error
		if c.From != "" {
			if d.from, err = address(c.From); err != nil {
				return nil, notify.BadSetting("from", fmt.Sprintf("must be one e-mail address, not %q.", c.From))
			}
		}
		for _, one := range c.To {
			to, err := address(one)
			if err != nil {
				return nil, notify.BadSetting("to", fmt.Sprintf("must hold one e-mail address per entry, not %q.", one))
			}
			d.to = append(d.to, to)
		}
		if c.Host != "" && strings.ContainsAny(c.Host, "/@: \t\r\n\x00") && strings.Count(c.Host, ":") < 2 {
			return nil, notify.BadSetting("host", "must be a host name or an address, without scheme and port.")
		}
		if c.TLS == "none" && c.Password.IsSet() {
			return nil, notify.BadSetting("tls", "must not be none with a password, which would be sent for everyone to read. Use starttls or tls.")
		}
		if c.Username == "" && c.Password.IsSet() {
			return nil, notify.BadSetting("username", "must be set with a password.")
		}
		return d, nil
	})
}

type driver struct {
	deps   notify.Deps
	config Config
	from   *mail.Address
	to     []*mail.Address
}

func (d *driver) Missing() []string {
	var missing []string
	if d.config.Host == "" {
		missing = append(missing, "host")
	}
	if d.from == nil {
		missing = append(missing, "from")
	}
	if len(d.to) == 0 {
		missing = append(missing, "to")
	}
	if d.config.Username != "" && !d.config.Password.IsSet() {
		missing = append(missing, "password")
	}
	return missing
}

// Send delivers to every recipient that the server takes. A recipient that is refused for good
// makes the message final failed, with words, after the others got it. One that is refused for now
// stops the attempt before anything is sent, so that trying again sends nothing twice.
func (d *driver) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	to := d.to
	if m.Channel != "" {
		list, err := mail.ParseAddressList(m.Channel)
		if err != nil || controls(m.Channel) {
			return notify.Receipt{}, fault.New(fault.Unprocessable, "The channel %q is not an e-mail address or a list of them.", notify.OneLine(m.Channel))
		}
		to = list
	}
	missing := d.Missing()
	if m.Channel != "" {
		missing = without(missing, "to")
	}
	if len(missing) > 0 {
		return notify.Receipt{}, notify.NotReady("E-mail", missing)
	}
	letter, err := compose(m, d.from, to, d.deps.Now())
	if err != nil {
		return notify.Receipt{}, err
	}
	receipt, err := d.deliver(ctx, letter, to)
	receipt.Request = fmt.Sprintf("mail by %s:%d to %d recipients, %d bytes", d.config.Host, d.config.Port, len(to), len(letter.raw))
	said := ""
	if receipt.Status != 0 {
		said = fmt.Sprintf("%d %s", receipt.Status, receipt.Response)
	}
	outbound.Report(ctx, fmt.Sprintf("SMTP to %s:%d\n\n%s", d.config.Host, d.config.Port, letter.raw), said)
	receipt.Data = map[string]any{"message_id": letter.id, "thread": letter.thread}
	return receipt, err
}

// address reads exactly one address and nothing that could become a second header line.
func address(text string) (*mail.Address, error) {
	if controls(text) {
		return nil, fmt.Errorf("control character in address")
	}
	return mail.ParseAddress(text)
}

func controls(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' })
}

func without(names []string, name string) []string {
	var rest []string
	for _, n := range names {
		if n != name {
			rest = append(rest, n)
		}
	}
	return rest
}
