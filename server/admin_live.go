package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/engine"
	"penstock/fault"
	"penstock/views"
)

const (
	writeWithin = 30 * time.Second // a browser that takes nothing for so long is gone
	batchLimit  = 256              // events in one message
)

// runLive streams what changes in a run until it ends: messages of HTML that HTMX swaps in, each with
// the sequence of the newest event it covers as its id. A browser that comes back with Last-Event-ID
// gets what it missed, whichever process it reaches: stages are drawn as they are now, and every line
// of the log comes once, in order. A reader whose credential ends is told by the event signed-out.
func (s *Server) runLive(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("run_id")
	after, err := cursorOf(r)
	if err != nil {
		return err
	}
	ctx, cancel := s.untilClosing(r)
	defer cancel()
	lines := &runLog{}
	if err := s.replayLog(ctx, id, after, lines); err != nil {
		return err
	}
	if _, err := s.store.Run(ctx, id); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nginx would keep the messages back
	w.WriteHeader(http.StatusOK)
	out := &stream{w: w, control: http.NewResponseController(w)}
	if err := out.write(": follow the run\n\n"); err != nil {
		return nil
	}

	events := make(chan *db.RunEvent, batchLimit)
	watched := make(chan error, 1)
	var watching sync.WaitGroup
	watching.Go(func() { watched <- s.watchToEnd(ctx, id, after, events) })
	defer watching.Wait()
	defer cancel()
	beat := time.NewTicker(s.recheck)
	defer beat.Stop()
	for {
		select {
		case ev, ok := <-events:
			if !ok {
				return nil // the store or the server went away: the browser comes back with its cursor
			}
			batch := gather(ev, events)
			message, ended, err := s.liveMessage(r, id, batch, lines)
			if err != nil {
				return err
			}
			if ended {
				message += "event: end\ndata: the run has ended\n\n"
			}
			if out.write(message) != nil || ended {
				return nil
			}
		case <-beat.C:
			if !s.stillMay(r) {
				_ = out.write("event: signed-out\ndata: the credential is no longer good for this page\n\n")
				return nil
			}
			if out.write(": still here\n\n") != nil {
				return nil
			}
		}
	}
}

// stillMay reports whether r's credential is still good for what it asked. A store that cannot be
// asked revokes nothing.
func (s *Server) stillMay(r *http.Request) bool {
	before, _ := auth.From(r.Context())
	now, err := s.auth.Confirm(r)
	if err == nil {
		err = auth.Allowed(now, r.Pattern)
	}
	if err != nil {
		return !fault.Is(err, fault.Unauthorized) && !fault.Is(err, fault.Forbidden)
	}
	return now.Kind == before.Kind && now.ID == before.ID
}

// cursorOf is the sequence after which the stream goes on.
func cursorOf(r *http.Request) (int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, fault.New(fault.Invalid, "Last-Event-ID %q is not a number this stream gave.", text)
	}
	return after, nil
}

// watchToEnd passes on the run's events and closes the channel when there will be no more. A run that
// was retried goes on after its first end.
func (s *Server) watchToEnd(ctx context.Context, id string, after int64, events chan<- *db.RunEvent) error {
	defer close(events)
	for {
		for ev, err := range s.engine.Watch(ctx, id, after) {
			if err != nil {
				return err
			}
			after = ev.Sequence
			select {
			case events <- ev:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		run, err := s.store.Run(ctx, id)
		if err != nil {
			return err
		}
		if run.Status.Terminal() {
			// A page that was loaded after the end still waits for the word that there is no more.
			events <- &db.RunEvent{RunID: id, Sequence: after}
			return nil
		}
	}
}

// gather takes what is there already, so that a burst is one message.
func gather(first *db.RunEvent, events <-chan *db.RunEvent) []*db.RunEvent {
	batch := []*db.RunEvent{first}
	for len(batch) < batchLimit {
		select {
		case ev, ok := <-events:
			if !ok {
				return batch
			}
			batch = append(batch, ev)
		default:
			return batch
		}
	}
	return batch
}

// liveMessage draws what the events changed.
func (s *Server) liveMessage(r *http.Request, id string, batch []*db.RunEvent, lines *runLog) (message string, ended bool, err error) {
	v, err := s.viewRun(r, id)
	if err != nil {
		return "", false, err
	}
	u := views.RunUpdate{Head: v.head, Timeline: v.timeline("")}
	changed := map[string]bool{}
	for _, ev := range batch {
		switch ev.Kind {
		case engine.EventStage:
			changed[ev.NodeID] = true
		case "":
			ended = true
			continue
		}
		entry, isNew := lines.add(ev)
		if isNew {
			u.Log = append(u.Log, entry)
		} else {
			u.More = append(u.More, entry)
		}
	}
	if ended { // whatever an event did not mention: the last message is the whole truth
		u.Changed = v.stages
	}
	for _, stage := range v.stages {
		if !ended && changed[stage.ID] {
			u.Changed = append(u.Changed, stage)
		}
	}
	if len(u.Changed) > 0 {
		if u.Messages, err = s.messagesOf(r.Context(), id); err != nil {
			return "", false, err
		}
		u.Graph = s.runGraph(id, "", v.doc, v.stages, v.newest)
	}
	var html bytes.Buffer
	if err := views.Update(u).Render(r.Context(), &html); err != nil {
		return "", false, err
	}
	return fmt.Sprintf("id: %d\ndata: %s\n\n", batch[len(batch)-1].Sequence, oneEvent.Replace(html.String())), ended, nil
}

// oneEvent keeps text inside its event: every kind of line end would begin a new field.
var oneEvent = strings.NewReplacer("\r", "&#13;", "\n", "\ndata: ")

// stream writes messages at once and gives each its own deadline instead of the server's for the
// whole answer.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) write(message string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(message)); err != nil {
		return err
	}
	return s.control.Flush()
}
