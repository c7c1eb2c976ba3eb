package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/drivers"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
)

// post is a fake receiver behind the driver "post": it records what it is sent and answers by channel.
type post struct {
	mu      sync.Mutex
	got     map[string][]notify.Message // by channel
	answers map[string]func(ctx context.Context, n int, m notify.Message) error
}

func newPost() *post {
	return &post{got: map[string][]notify.Message{}, answers: map[string]func(context.Context, int, notify.Message) error{}}
}

func (p *post) answer(channel string, f func(ctx context.Context, n int, m notify.Message) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[channel] = f
}

func (p *post) sent(channel string) []notify.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got[channel]
}

type postDriver struct {
	*post
	channel string
}

func (d postDriver) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	d.mu.Lock()
	d.got[d.channel] = append(d.got[d.channel], m)
	n, answer := len(d.got[d.channel]), d.answers[d.channel]
	d.mu.Unlock()
	receipt := notify.Receipt{Request: "POST post.test"}
	if answer != nil {
		if err := answer(ctx, n, m); err != nil {
			_, _ = fmt.Sscanf(fault.Of(err).Message, "%d", &receipt.Status)
			return receipt, err
		}
	}
	receipt.Status, receipt.Response, receipt.MessageID = 200, "ok", fmt.Sprint(d.channel, "-", n)
	if m.Earlier != "" {
		receipt.MessageID = m.Earlier
	}
	return receipt, nil
}

// pager is the smallest node that notifies.
type pager struct {
	Channel string `json:"channel"`
	Update  *bool  `json:"update"`
}

func (n pager) Target(ctx context.Context, in engine.Input) (engine.Target, error) {
	kind, d, err := in.Services.Channel(ctx, n.Channel)
	return engine.Target{Channel: n.Channel, Driver: kind, Sender: d}, err
}

func (n pager) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	to := in.Target
	if to == nil {
		_, err := n.Target(ctx, in)
		return engine.Output{}, err
	}
	m := notify.Message{Key: in.Key, Action: notify.Trigger, Title: "from " + in.NodeID, Severity: alerts.Critical}
	if in.Incident != nil && in.Incident["status"] == "resolved" {
		m.Action = notify.Resolve
	}
	done, err := in.Services.Deliver(ctx, *to, m, n.Update == nil || *n.Update)
	return engine.Output{Data: map[string]any{"status": string(done.Status), "reason": done.Reason}}, err
}

// telling starts an engine whose channels are all of the driver post.
func telling(t *testing.T, store *db.Store, hub *engine.Hub, p *post, change func(*engine.Options), channels ...string) *stack {
	sc := newScript()
	s := start(t, store, hub, sc, func(o *engine.Options) {
		o.Types = append(sc.types(), engine.NodeType{
			Type: definition.Type{Name: "page", Title: "page", Schema: json.RawMessage(`{"type":"object"}`), SideEffects: true, KeepsTrying: true, Timeout: 10 * time.Second},
			Build: func(config json.RawMessage) (engine.Node, error) {
				var n pager
				return n, json.Unmarshal(config, &n)
			},
		})
		type settings struct {
			Name string `json:"name,omitempty" jsonschema:"title=Name,description=Name."`
		}
		o.Notify = drivers.NewRegistry(drivers.Define("post", "Post", func(_ context.Context, c settings) (notify.Driver, error) {
			return postDriver{p, c.Name}, nil
		}))
		if change != nil {
			change(o)
		}
	})
	for _, name := range channels {
		_, _, err := s.SaveChannel(t.Context(), engine.ChannelInput{Name: name, Driver: "post", Config: json.RawMessage(`{"name":"` + name + `"}`)})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// ledger is the messages of a run by node, with their attempts.
func (s *stack) ledger(runID string) (map[string]db.NotificationMessage, map[string][]db.NotificationAttempt) {
	s.t.Helper()
	byRun, err := s.store.NotificationsByRun(s.t.Context(), []string{runID})
	if err != nil {
		s.t.Fatal(err)
	}
	messages, attempts := map[string]db.NotificationMessage{}, map[string][]db.NotificationAttempt{}
	for _, m := range byRun[runID] {
		messages[m.NodeID] = m
		list, err := s.store.AttemptsByNotification(s.t.Context(), []string{m.ID})
		if err != nil {
			s.t.Fatal(err)
		}
		attempts[m.NodeID] = list[m.ID]
	}
	return messages, attempts
}

var errAway = fault.Retry(fault.New(fault.Unavailable, "503 later"), 0)

func TestLedger(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		p := newPost()
		s := telling(t, store, hub, p, func(o *engine.Options) { o.NotifyRetryFor = 3 * time.Second }, "ops", "away", "bad", "slow")
		one := func(channel, more string) string {
			return fmt.Sprintf(`[{"id":"page","type":"page","config":{"channel":%q}%s}]`, channel, more)
		}
		t.Run("a message that is sent has a row, and its attempt had one before the call", func(t *testing.T) {
			var during []db.NotificationAttempt
			p.answer("ops", func(ctx context.Context, _ int, m notify.Message) error {
				page, err := store.Notifications(ctx, db.NotificationFilter{Channel: "ops"})
				if err != nil {
					return err
				}
				byID, err := store.AttemptsByNotification(ctx, []string{page.Items[0].ID})
				during = byID[page.Items[0].ID]
				return err
			})
			s.define("ops", one("ops", ""))
			r := s.run("ops")
			m, a := s.ledger(r.RunID)
			got := m["page"]
			if r.Status != db.RunCompleted || got.Status != db.NotificationSent || got.Title != "from page" || got.Severity != db.SeverityCritical ||
				got.Attempts != 1 || got.ProviderID != "ops-1" || got.SentAt.IsZero() || !got.BusyUntil.IsZero() || got.IdempotencyKey != p.sent("ops")[0].Key {
				t.Errorf("%s, message %+v", r.Status, got)
			}
			if len(during) != 1 || during[0].Outcome != db.AttemptUnknown || !during[0].FinishedAt.IsZero() {
				t.Errorf("during the call: %+v", during)
			}
			if len(a["page"]) != 1 || a["page"][0].Outcome != db.AttemptSent || a["page"][0].Request != "POST post.test" || a["page"][0].ResponseStatus != 200 {
				t.Errorf("attempts %+v", a["page"])
			}
		})
		t.Run("no answer is an unknown outcome; the next attempt has the same key", func(t *testing.T) {
			p.answer("slow", func(ctx context.Context, n int, _ notify.Message) error {
				if n == 1 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
			s.define("slow", one("slow", `,"timeout_seconds":1`))
			r := s.run("slow")
			_, a := s.ledger(r.RunID)
			sent := p.sent("slow")
			if r.Status != db.RunCompleted || len(a["page"]) != 2 || a["page"][0].Outcome != db.AttemptUnknown || !strings.Contains(a["page"][0].Error, "No answer within 1s") {
				t.Errorf("%s, attempts %+v", r.Status, a["page"])
			}
			if len(sent) != 2 || sent[0].Key != sent[1].Key {
				t.Errorf("sent %+v", sent)
			}
		})
		alarm := func(name string, status db.IncidentStatus) (found db.Incident) {
			t.Helper()
			eventually(t, fmt.Sprintf("%s is %s", name, status), func() bool {
				list, err := store.Incidents(t.Context(), db.IncidentFilter{Host: "bad"})
				if err != nil {
					t.Fatal(err)
				}
				for _, inc := range list.Items {
					if found = inc; inc.AlertName == name && inc.Status == status {
						return true
					}
				}
				return false
			})
			return found
		}
		state := func() string {
			t.Helper()
			status, err := s.ChannelStatuses(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return status.Of("bad").State
		}
		refuse := func(err error) {
			t.Helper()
			p.answer("bad", func(context.Context, int, notify.Message) error { return err })
			s.define("bad", one("bad", ""))
			for range 3 {
				r := s.run("bad")
				m, a := s.ledger(r.RunID)
				if r.Status != db.RunFailed || m["page"].Status != db.NotificationFailed || m["page"].Reason != "400 never" || m["page"].MayHaveArrived || len(a["page"]) != 1 || a["page"][0].Outcome != db.AttemptFailed {
					t.Errorf("%s, message %+v, attempts %+v", r.Status, m["page"], a["page"])
				}
			}
		}
		t.Run("a refusal of a message is final and raises one alarm; the channel works", func(t *testing.T) {
			refuse(fault.Wrap(notify.ErrRefused, fault.Unprocessable, "400 never"))
			inc := alarm("MessageRefused", db.IncidentOpen)
			if inc.AlertCount != 1 || inc.Source != engine.SourceSelf || inc.Title == "" || state() != "ok" {
				t.Errorf("incident %+v, the channel is %s", inc, state())
			}
		})
		t.Run("that alarm ends when the receiver takes a message of the same node", func(t *testing.T) {
			p.answer("bad", nil)
			s.define("fine", one("bad", ""))
			s.run("fine")
			alarm("MessageRefused", db.IncidentOpen)
			s.run("bad")
			alarm("MessageRefused", db.IncidentResolved)
		})
		t.Run("a channel that can send nothing raises one alarm about itself", func(t *testing.T) {
			refuse(fault.New(fault.Unprocessable, "400 never"))
			if inc := alarm("ChannelFailing", db.IncidentOpen); inc.AlertCount != 1 || state() != "failing" {
				t.Errorf("incident %+v, the channel is %s", inc, state())
			}
		})
		t.Run("that alarm ends with a test that passes", func(t *testing.T) {
			p.answer("bad", nil)
			if _, err := s.TestChannel(t.Context(), "bad"); err != nil {
				t.Fatal(err)
			}
			alarm("ChannelFailing", db.IncidentResolved)
		})
		t.Run("without a written number of retries time is the limit; then it is dead, and can be sent by hand with the same key", func(t *testing.T) {
			p.answer("away", func(context.Context, int, notify.Message) error { return errAway })
			s.define("away", one("away", ""))
			began := time.Now()
			r := s.run("away")
			took := time.Since(began)
			m, _ := s.ledger(r.RunID)
			if r.Status != db.RunFailed || m["page"].Status != db.NotificationDead || m["page"].EndedAt.IsZero() || took < 3*time.Second || m["page"].Attempts < 2 {
				t.Errorf("%s after %v, message %+v", r.Status, took, m["page"])
			}
			p.answer("away", nil)
			if _, err := s.Retry(t.Context(), r.RunID, "test"); err != nil {
				t.Fatal(err)
			}
			r = s.wait(r.RunID)
			again, _ := s.ledger(r.RunID)
			sent := p.sent("away")
			if r.Status != db.RunCompleted || again["page"].ID != m["page"].ID || again["page"].Status != db.NotificationSent || sent[len(sent)-1].Key != sent[0].Key {
				t.Errorf("%s, message %+v", r.Status, again["page"])
			}
		})
		t.Run("a written number of retries holds", func(t *testing.T) {
			p.answer("away", func(context.Context, int, notify.Message) error { return errAway })
			s.define("twice", one("away", `,"max_retries":0`))
			r := s.run("twice")
			if m, _ := s.ledger(r.RunID); m["page"].Status != db.NotificationDead || m["page"].Attempts != 1 {
				t.Errorf("%s, message %+v", r.Status, m["page"])
			}
		})
		t.Run("a channel that does not exist leaves a row too", func(t *testing.T) {
			s.define("nowhere", one("nowhere", ""))
			r := s.run("nowhere")
			if m, _ := s.ledger(r.RunID); m["page"].Status != db.NotificationFailed || m["page"].Channel != "nowhere" || m["page"].Attempts != 0 {
				t.Errorf("%s, message %+v", r.Status, m["page"])
			}
		})
	})
}

func TestWaitingMessages(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		p := newPost()
		s := telling(t, store, hub, p, func(o *engine.Options) { o.Backlog, o.Workers = 12, 10 }, "ops", "away", "hangs")
		p.answer("away", func(context.Context, int, notify.Message) error { return errAway })
		s.define("away", `[{"id":"bad","type":"step"},{"id":"page","type":"page","config":{"channel":"away"}}]`)
		s.define("ops", `[{"id":"page","type":"page","config":{"channel":"ops"}}]`)
		execute := func(name string) (id string) {
			t.Helper()
			eventually(t, "the run is accepted", func() bool {
				run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: name})
				if err == nil {
					id = run.ID
				}
				return err == nil
			})
			return id
		}
		var waiting []string
		for range 14 { // more than the backlog, and enough to open the breaker
			waiting = append(waiting, execute("away"))
		}
		t.Run("keep no delivery out", func(t *testing.T) {
			if r := s.run("ops"); r.Status != db.RunCompleted {
				t.Errorf("the run is %s", r.Status)
			}
		})
		t.Run("say what they wait for", func(t *testing.T) {
			eventually(t, "the breaker is open", func() bool {
				status, err := s.ChannelStatuses(t.Context())
				return err == nil && status["away"].State == "open"
			})
			eventually(t, "one says that the channel fails", func() bool {
				for _, id := range waiting {
					r, err := s.Result(t.Context(), id)
					if err == nil && r.WaitingFor != nil && strings.Contains(*r.WaitingFor, "page (page): The channel away has failed since") {
						return true
					}
				}
				return false
			})
		})
		t.Run("are cancelled with their run", func(t *testing.T) {
			if _, err := s.Cancel(t.Context(), waiting[0], "enough", ""); err != nil {
				t.Fatal(err)
			}
			r := s.wait(waiting[0])
			if m, _ := s.ledger(waiting[0]); r.Status != db.RunCancelled || m["page"].Status != db.NotificationCancelled {
				t.Errorf("%s, message %+v", r.Status, m["page"])
			}
		})
		t.Run("are sent once the channel works again", func(t *testing.T) {
			p.answer("away", nil)
			for _, id := range waiting[1:] {
				eventually(t, "it is sent", func() bool { m, _ := s.ledger(id); return m["page"].Status == db.NotificationSent })
			}
		})
		t.Run("a channel that hangs keeps the others free", func(t *testing.T) {
			release := make(chan struct{})
			p.answer("hangs", func(ctx context.Context, _ int, _ notify.Message) error {
				select {
				case <-release:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			s.define("hangs", `[{"id":"page","type":"page","config":{"channel":"hangs"}}]`)
			var hung []string
			for range 10 {
				hung = append(hung, execute("hangs"))
			}
			eventually(t, "eight hang", func() bool { return len(p.sent("hangs")) == 8 })
			if r := s.run("ops"); r.Status != db.RunCompleted || len(p.sent("hangs")) != 8 {
				t.Errorf("the run is %s, %d hang", r.Status, len(p.sent("hangs")))
			}
			close(release)
			for _, id := range hung {
				s.wait(id)
			}
		})
	})
}

func TestMessagesOfOneRun(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		p := newPost()
		s := telling(t, store, hub, p, nil, "ops", "chain", "new", "other")
		t.Run("the second follows the first and edits it", func(t *testing.T) {
			p.answer("ops", func(_ context.Context, n int, _ notify.Message) error {
				if n == 1 {
					return errAway
				}
				return nil
			})
			s.define("both", `[{"id":"page","type":"page","config":{"channel":"ops"},"next":"end"},{"id":"end","type":"step"},{"id":"analyse","type":"step","next":"enrich"},{"id":"enrich","type":"page","config":{"channel":"ops"}}]`)
			r := s.run("both")
			m, _ := s.ledger(r.RunID)
			var order []string
			for _, got := range p.sent("ops") {
				order = append(order, strings.TrimPrefix(got.Title, "from ")+":"+got.Earlier)
			}
			if got := strings.Join(order, " "); got != "page: page: enrich:ops-2" {
				t.Errorf("sent %s", got)
			}
			if m["page"].Kind != db.NotificationTrigger || m["enrich"].Kind != db.NotificationUpdate || m["enrich"].ProviderID != "ops-2" {
				t.Errorf("%s, messages %+v", r.Status, m)
			}
		})
		t.Run("the second does not wait for a first that was answered", func(t *testing.T) {
			s.define("chain", `[{"id":"page","type":"page","config":{"channel":"chain"},"next":"enrich"},{"id":"enrich","type":"page","config":{"channel":"chain"}}]`)
			for range 5 {
				r := s.run("chain")
				stages, err := store.StagesByRun(t.Context(), []string{r.RunID})
				if err != nil || len(stages[r.RunID]) != 2 {
					t.Errorf("%d attempts of two nodes, %v", len(stages[r.RunID]), err)
				}
			}
		})
		t.Run("update: false sends a new one", func(t *testing.T) {
			s.define("new", `[{"id":"page","type":"page","config":{"channel":"new"}},{"id":"enrich","type":"page","config":{"channel":"new","update":false}}]`)
			r := s.run("new")
			if sent := p.sent("new"); r.Status != db.RunCompleted || len(sent) != 2 || sent[1].Earlier != "" {
				t.Errorf("%s, sent %+v", r.Status, sent)
			}
		})
		t.Run("a message that was begun is sent although another node has failed", func(t *testing.T) {
			p.answer("other", func(_ context.Context, n int, _ notify.Message) error {
				if n == 1 {
					return errAway
				}
				return nil
			})
			s.script.on("bad", failing(fault.New(fault.Unprocessable, "no")))
			s.define("fails", `[{"id":"page","type":"page","config":{"channel":"other"},"next":"end"},{"id":"end","type":"step"},{"id":"wait","type":"step","next":"bad"},{"id":"bad","type":"step"}]`)
			s.script.on("wait", func(context.Context, engine.Input) (engine.Output, error) {
				for len(p.sent("other")) == 0 {
					time.Sleep(time.Millisecond)
				}
				return engine.Output{}, nil
			})
			if got := s.statuses(s.run("fails")); got != "failed: bad=failed end=skipped page=succeeded wait=succeeded" {
				t.Error(got)
			}
		})
	})
}

func TestMessagesOfOneIncident(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		p := newPost()
		s := telling(t, store, hub, p, nil, "ops", "away", "story")
		post := func(channel, host, status, severity string) string {
			t.Helper()
			a, err := s.Receive(t.Context(), engine.Inbound{Definition: channel, ContentType: "application/json", Body: body(alert{"Disk", host, status, severity, "db"})})
			if err != nil {
				t.Fatal(err)
			}
			return *a.RunID
		}
		for _, name := range []string{"ops", "away"} {
			s.define(name, `[{"id":"ingest","type":"ingest","next":"page"},{"id":"page","type":"page","config":{"channel":"`+name+`"}}]`)
		}
		t.Run("a change and the end edit the first message", func(t *testing.T) {
			for _, change := range [][2]string{{"firing", "warning"}, {"firing", "critical"}, {"resolved", "critical"}} {
				s.wait(post("ops", "db-1", change[0], change[1]))
			}
			var got []string
			for _, m := range p.sent("ops") {
				got = append(got, string(m.Action)+":"+m.Earlier)
			}
			if strings.Join(got, " ") != "trigger: trigger:ops-1 resolve:ops-1" {
				t.Errorf("sent %v", got)
			}
		})
		t.Run("nodes that told one story end it once, one with a message of its own ends that too", func(t *testing.T) {
			s.define("story", `[{"id":"ingest","type":"ingest","next":"page"},{"id":"page","type":"page","config":{"channel":"story"},"next":"explain"},
				{"id":"explain","type":"page","config":{"channel":"story"},"next":"apart"},{"id":"apart","type":"page","config":{"channel":"story","update":false}}]`)
			s.wait(post("story", "db-9", "firing", "warning"))
			end := post("story", "db-9", "resolved", "warning")
			s.wait(end)
			var got []string
			for _, m := range p.sent("story") {
				got = append(got, strings.TrimPrefix(m.Title, "from ")+":"+m.Earlier)
			}
			if strings.Join(got, " ") != "page: explain:story-1 apart: page:story-1 apart:story-3" {
				t.Errorf("sent %v", got)
			}
			if m, _ := s.ledger(end); m["explain"].Status != db.NotificationSkipped || m["explain"].Reason != "The message of page has told the channel that it is over." {
				t.Errorf("the second resolve: %+v", m["explain"])
			}
		})
		t.Run("what is over before it could be sent pages nobody, and needs no resolve", func(t *testing.T) {
			p.answer("away", func(context.Context, int, notify.Message) error { return errAway })
			first := post("away", "db-2", "firing", "warning")
			eventually(t, "the first attempt has failed", func() bool { m, _ := s.ledger(first); return m["page"].Reason != "" })
			second := post("away", "db-2", "firing", "critical")
			eventually(t, "the second has its row", func() bool { m, _ := s.ledger(second); return m["page"].ID != "" })
			last := post("away", "db-2", "resolved", "critical")
			s.wait(last)
			p.answer("away", nil)
			for _, id := range []string{first, second, last} {
				r := s.wait(id)
				if m, _ := s.ledger(id); r.Status != db.RunCompleted || m["page"].Status != db.NotificationSkipped || m["page"].Reason == "" {
					t.Errorf("%s, message %+v", r.Status, m["page"])
				}
			}
		})
		t.Run("the newest state takes the place of what has not been sent", func(t *testing.T) {
			p.answer("away", func(context.Context, int, notify.Message) error { return errAway })
			before := len(p.sent("away"))
			first := post("away", "db-3", "firing", "warning")
			eventually(t, "the first attempt has failed", func() bool { m, _ := s.ledger(first); return m["page"].Reason != "" })
			second := post("away", "db-3", "firing", "critical")
			eventually(t, "the second has its row", func() bool { m, _ := s.ledger(second); return m["page"].ID != "" })
			p.answer("away", nil)
			s.wait(second)
			s.wait(first)
			m1, _ := s.ledger(first)
			m2, _ := s.ledger(second)
			if m1["page"].Status != db.NotificationSkipped || m2["page"].Status != db.NotificationSent {
				t.Errorf("first %+v, second %+v, %d calls", m1["page"], m2["page"], len(p.sent("away"))-before)
			}
		})
		t.Run("a resolve is sent where the first message may have arrived", func(t *testing.T) {
			var once sync.Once
			p.answer("away", func(context.Context, int, notify.Message) (err error) {
				once.Do(func() { err = fault.Retry(fault.New(fault.Unavailable, "The target cannot be reached."), 0) })
				return err
			})
			first := post("away", "db-4", "firing", "warning")
			eventually(t, "the first attempt has no answer", func() bool { m, _ := s.ledger(first); return m["page"].Reason != "" })
			last := post("away", "db-4", "resolved", "warning")
			s.wait(last)
			s.wait(first)
			m1, _ := s.ledger(first)
			m2, _ := s.ledger(last)
			if m1["page"].Status != db.NotificationSkipped || m2["page"].Status != db.NotificationSent || m2["page"].Kind != db.NotificationResolve {
				t.Errorf("first %+v, last %+v", m1["page"], m2["page"])
			}
		})
	})
}

func TestMessagesSurviveARestart(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		p := newPost()
		open := func(channels ...string) *stack {
			hub := engine.NewHub()
			store, err := db.Open(t.Context(), db.Options{URL: url, OnCommit: hub.Publish, PoolSize: 8})
			if err == nil {
				_, err = store.Migrate(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			s := telling(t, store, hub, p, nil, channels...)
			stop := s.stop
			s.stop = sync.OnceFunc(func() { stop(); _ = store.Close() })
			t.Cleanup(s.stop)
			return s
		}
		p.answer("away", func(context.Context, int, notify.Message) error { return errAway })
		s := open("away")
		s.define("away", `[{"id":"page","type":"page","config":{"channel":"away"}}]`)
		run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "away"})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "it waits", func() bool { m, _ := s.ledger(run.ID); return m["page"].Reason != "" })
		before, _ := s.ledger(run.ID)
		s.stop()
		p.answer("away", nil)
		s = open()
		r := s.wait(run.ID)
		after, attempts := s.ledger(run.ID)
		sent := p.sent("away")
		if r.Status != db.RunCompleted || after["page"].ID != before["page"].ID || after["page"].Attempts != len(sent) || len(attempts["page"]) != len(sent) || sent[0].Key != sent[len(sent)-1].Key {
			t.Errorf("%s, message %+v, %d calls", r.Status, after["page"], len(sent))
		}
	})
}

// reporter is a node that asks for the channel of an alarm.
type reporter struct{}

func (reporter) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	to, note, err := in.Services.AlarmChannel(ctx, in, "about")
	return engine.Output{Data: map[string]any{"channel": to.Channel, "note": note}}, err
}

func TestAlarmChannel(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		p := newPost()
		s := telling(t, store, hub, p, func(o *engine.Options) {
			o.AlarmChannel = "alarms"
			o.Types = append(o.Types, engine.NodeType{
				Type:  definition.Type{Name: "reporter", Title: "reporter", Schema: json.RawMessage(`{"type":"object"}`)},
				Build: func(json.RawMessage) (engine.Node, error) { return reporter{}, nil },
			})
		}, "about", "alarms", "other")
		s.define("report", `[{"id":"report","type":"reporter"}]`)
		chosen := func() (channel, note string) {
			t.Helper()
			var got struct{ Channel, Note string }
			if err := json.Unmarshal(s.run("report").NodeResults["report"].Output, &got); err != nil {
				t.Fatal(err)
			}
			return got.Channel, got.Note
		}
		if channel, note := chosen(); channel != "alarms" || note != "" {
			t.Errorf("%s, %q: want the configured one", channel, note)
		}
		p.answer("alarms", func(context.Context, int, notify.Message) error {
			return fault.Wrap(notify.ErrCredentials, fault.Unprocessable, "401 who are you")
		})
		s.define("page", `[{"id":"page","type":"page","config":{"channel":"alarms"}}]`)
		s.run("page")
		eventually(t, "the configured one is in trouble", func() bool { channel, _ := chosen(); return channel == "other" })
		if _, note := chosen(); !strings.Contains(note, "in place of alarms") || !strings.Contains(note, "401 who are you") {
			t.Errorf("note %q", note)
		}
		for _, name := range []string{"another", "tested"} {
			if _, _, err := s.SaveChannel(t.Context(), engine.ChannelInput{Name: name, Driver: "post", Config: json.RawMessage(`{"name":"` + name + `"}`)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.TestChannel(t.Context(), "tested"); err != nil {
			t.Fatal(err)
		}
		if channel, _ := chosen(); channel != "tested" {
			t.Errorf("%s, want the one that has passed its test", channel)
		}
		p.answer("alarms", nil)
		if _, err := s.TestChannel(t.Context(), "alarms"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the configured one is back", func() bool { channel, _ := chosen(); return channel == "alarms" })

		s.define("tell", `[{"id":"ingest","type":"ingest"},{"id":"page","type":"page","config":{"channel":"other"}}]`)
		for start, want := range map[string]string{"firing": "other", "reopened": "alarms"} {
			a := alert{"Disk", "db-" + start, "firing", "critical", "db"}
			told, err := s.Receive(t.Context(), engine.Inbound{Definition: "tell", ContentType: "application/json", Body: body(a)})
			if err != nil {
				t.Fatal(err)
			}
			incident := *s.wait(*told.RunID).IncidentID
			if start == "reopened" {
				for _, step := range []string{"resolved", "firing"} {
					a.status = step
					s.decisions(body(a))
				}
			}
			run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "report", IncidentID: incident})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(s.wait(run.ID).NodeResults["report"].Output); !strings.Contains(got, `"channel":"`+want+`"`) {
				t.Errorf("%s: %s, want %s: who was told hears of the end, a new occurrence is news", start, got, want)
			}
		}
	})
}
