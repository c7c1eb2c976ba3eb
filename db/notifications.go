package db

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// NotificationStatus is the state of a message.
type NotificationStatus string

const (
	NotificationPending   NotificationStatus = "pending" // waits, is being sent, or waits for its next attempt
	NotificationSent      NotificationStatus = "sent"
	NotificationFailed    NotificationStatus = "failed"    // refused for good
	NotificationDead      NotificationStatus = "dead"      // given up after all its attempts
	NotificationSkipped   NotificationStatus = "skipped"   // needless by the time it could be sent
	NotificationCancelled NotificationStatus = "cancelled" // its run was cancelled
)

// NotificationKind says what a message means at its receiver.
type NotificationKind string

const (
	NotificationTrigger NotificationKind = "trigger"
	NotificationUpdate  NotificationKind = "update" // of an earlier message of the same incident and channel
	NotificationResolve NotificationKind = "resolve"
)

// AttemptOutcome is what is known of an attempt to send.
type AttemptOutcome string

const (
	AttemptSent    AttemptOutcome = "sent"
	AttemptFailed  AttemptOutcome = "failed"  // it has certainly not arrived
	AttemptUnknown AttemptOutcome = "unknown" // under way, or no answer came: it may have arrived
)

// NotificationMessage is the message of one notify node of one run.
type NotificationMessage struct {
	bun.BaseModel `bun:"table:notification_messages,alias:nm"`

	ID             string             `bun:"id,pk"`
	RunID          string             `bun:"run_id"`
	NodeID         string             `bun:"node_id"`
	DefinitionName string             `bun:"definition_name"`
	IncidentID     string             `bun:"incident_id,nullzero"`
	Occurrence     int                `bun:"occurrence"` // of the incident, 0 without one
	Revision       int                `bun:"revision"`   // of the incident as the message tells it, 0 without one
	Channel        string             `bun:"channel"`    // a stored channel, or "<driver>:<hash>" for settings in the node
	Driver         string             `bun:"driver"`
	Destination    string             `bun:"destination"` // of the driver as the node names it, "" for what the settings say
	IdempotencyKey string             `bun:"idempotency_key"`
	Kind           NotificationKind   `bun:"kind"`
	Title          string             `bun:"title"`
	Severity       Severity           `bun:"severity"`
	Status         NotificationStatus `bun:"status"`
	Reason         string             `bun:"reason"`      // why it waits, failed or was skipped
	ProviderID     string             `bun:"provider_id"` // the receiver's id of it
	Attempts       int                `bun:"attempts"`
	MayHaveArrived bool               `bun:"may_have_arrived"` // it has arrived, or an attempt's outcome is unknown
	BusyUntil      time.Time          `bun:"busy_until,nullzero"`
	CreatedAt      time.Time          `bun:"created_at"`
	UpdatedAt      time.Time          `bun:"updated_at"`
	SentAt         time.Time          `bun:"sent_at,nullzero"`
	EndedAt        time.Time          `bun:"ended_at,nullzero"` // when it was given up
}

// NotificationAttempt is one try to send a message. Its row is durable before the call.
type NotificationAttempt struct {
	bun.BaseModel `bun:"table:notification_attempts,alias:na"`

	MessageID      string         `bun:"message_id,pk"`
	Number         int            `bun:"number,pk"` // from 1
	StartedAt      time.Time      `bun:"started_at"`
	FinishedAt     time.Time      `bun:"finished_at,nullzero"` // zero: under way, or its process ended in it
	Outcome        AttemptOutcome `bun:"outcome"`
	Request        string         `bun:"request"`         // method, place and size, without secrets
	ResponseStatus int            `bun:"response_status"` // HTTP or SMTP, 0 without an answer
	Response       string         `bun:"response"`
	Error          string         `bun:"error"`
}

// NotificationFilter selects messages; the zero value is all.
type NotificationFilter struct {
	Status     []NotificationStatus // any of them
	Channel    string
	RunID      string
	IncidentID string
	Page
}

func (f NotificationFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	if len(f.Status) > 0 {
		q.Where("nm.status IN (?)", bun.List(f.Status))
	}
	equals(q, "channel", f.Channel)
	equals(q, "run_id", f.RunID)
	equals(q, "incident_id", f.IncidentID)
	return q
}

// Notification returns a message by its id.
func (s *Store) Notification(ctx context.Context, id string) (*NotificationMessage, error) {
	m := new(NotificationMessage)
	if err := s.read.NewSelect().Model(m).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read notification", "There is no notification %s.", id)
	}
	return m, nil
}

// NotificationsByID returns messages by their ids.
func (s *Store) NotificationsByID(ctx context.Context, ids []string) (map[string]*NotificationMessage, error) {
	var ms []NotificationMessage
	err := s.read.NewSelect().Model(&ms).Where("id IN (?)", bun.List(ids)).Scan(ctx)
	return byID(ms, func(m *NotificationMessage) string { return m.ID }), wrap(err, "read notifications")
}

// Notifications lists messages, the newest first.
func (s *Store) Notifications(ctx context.Context, f NotificationFilter) (Connection[NotificationMessage], error) {
	var ms []NotificationMessage
	q := f.apply(s.read.NewSelect().Model(&ms))
	return list(ctx, q, &ms, f.Page, "created_at", func(m *NotificationMessage) (time.Time, string) { return m.CreatedAt, m.ID })
}

// CountNotifications counts what [Store.Notifications] lists on all pages.
func (s *Store) CountNotifications(ctx context.Context, f NotificationFilter) (int, error) {
	n, err := f.apply(s.read.NewSelect().Model((*NotificationMessage)(nil))).Count(ctx)
	return int(n), wrap(err, "count notifications")
}

// NotificationsByRun returns the messages of several runs, the oldest first.
func (s *Store) NotificationsByRun(ctx context.Context, runIDs []string) (map[string][]NotificationMessage, error) {
	var ms []NotificationMessage
	err := s.read.NewSelect().Model(&ms).Where("run_id IN (?)", bun.List(runIDs)).Order("created_at", "id").Scan(ctx)
	byRun := make(map[string][]NotificationMessage, len(runIDs))
	for _, m := range ms {
		byRun[m.RunID] = append(byRun[m.RunID], m)
	}
	return byRun, wrap(err, "read notifications")
}

// AttemptsByNotification returns the attempts of several messages by number.
func (s *Store) AttemptsByNotification(ctx context.Context, ids []string) (map[string][]NotificationAttempt, error) {
	var as []NotificationAttempt
	err := s.read.NewSelect().Model(&as).Where("message_id IN (?)", bun.List(ids)).Order("message_id", "number").Scan(ctx)
	byMessage := make(map[string][]NotificationAttempt, len(ids))
	for _, a := range as {
		byMessage[a.MessageID] = append(byMessage[a.MessageID], a)
	}
	return byMessage, wrap(err, "read attempts")
}

// IncidentState is where an incident is.
type IncidentState struct {
	Status     IncidentStatus
	Occurrence int
}

// OtherNotifications returns where the incident of m is now and the other messages of the same occurrence that go
// to the same place, the oldest first; without an incident, those of the same run.
func (s *Store) OtherNotifications(ctx context.Context, m *NotificationMessage) (state IncidentState, others []NotificationMessage, err error) {
	if m.IncidentID == "" {
		err = s.read.NewSelect().Model(&others).Where("run_id = ?", m.RunID).Where("channel = ?", m.Channel).
			Where("destination = ?", m.Destination).Where("id <> ?", m.ID).Order("created_at", "id").Scan(ctx)
		return state, others, wrap(err, "read notifications")
	}
	var rows []struct {
		NotificationMessage `bun:",extend"`
		IncidentStatus      IncidentStatus `bun:"incident_status,scanonly"`
		IncidentOccurrence  int            `bun:"incident_occurrence,scanonly"`
	}
	err = s.read.NewSelect().Model(&rows).ModelTableExpr("incidents AS inc").
		ColumnExpr("?TableColumns").ColumnExpr("inc.status AS incident_status").ColumnExpr("inc.occurrence AS incident_occurrence").
		Join("LEFT JOIN notification_messages AS nm ON nm.incident_id = inc.id AND nm.occurrence = ? AND nm.channel = ? AND nm.destination = ? AND nm.id <> ?",
			m.Occurrence, m.Channel, m.Destination, m.ID).
		Where("inc.id = ?", m.IncidentID).Order("nm.created_at", "nm.id").Scan(ctx)
	if err == nil && len(rows) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return state, nil, found(err, "read notifications", "There is no incident %s.", m.IncidentID)
	}
	for _, r := range rows {
		state = IncidentState{r.IncidentStatus, r.IncidentOccurrence}
		if r.ID != "" { // there is one
			others = append(others, r.NotificationMessage)
		}
	}
	return state, others, nil
}

// writeNotifications returns what stores messages, attempts and channel states of run writes; of a row that is
// there twice, the last one counts.
func (tx *Tx) writeNotifications(ts []*task) (queries []schema.QueryAppender) {
	messages := lastOf(ts, func(w *RunWrite) []NotificationMessage { return w.Messages }, func(m *NotificationMessage) any { return m.ID })
	attempts := lastOf(ts, func(w *RunWrite) []NotificationAttempt { return w.Attempts }, func(a *NotificationAttempt) any {
		return [2]any{a.MessageID, a.Number}
	})
	states := lastOf(ts, func(w *RunWrite) []ChannelState { return w.Channels }, func(c *ChannelState) any { return c.Key() })
	if len(messages) > 0 {
		queries = append(queries, tx.store.write.NewInsert().Model(&messages).On("CONFLICT (id) DO UPDATE"))
	}
	if len(attempts) > 0 {
		queries = append(queries, tx.store.write.NewInsert().Model(&attempts).On("CONFLICT (message_id, number) DO UPDATE"))
	}
	for _, c := range states {
		queries = append(queries, tx.store.upsertChannelState(c))
	}
	return queries
}

// lastOf gathers rows of the writes that are not refused, in order, the last one of each key.
func lastOf[T any](ts []*task, rows func(*RunWrite) []T, key func(*T) any) (out []*T) {
	at := map[any]int{}
	for _, t := range ts {
		if t.err != nil {
			continue
		}
		list := rows(t.run)
		for i := range list {
			k := key(&list[i])
			if j, twice := at[k]; twice {
				out[j] = &list[i]
				continue
			}
			at[k] = len(out)
			out = append(out, &list[i])
		}
	}
	return out
}

// ChannelHealth says whether messages get through.
type ChannelHealth string

const (
	ChannelOK      ChannelHealth = "ok"
	ChannelFailing ChannelHealth = "failing" // messages do not arrive, or one was given up
	ChannelBroken  ChannelHealth = "broken"  // the receiver refuses our credentials
)

// ChannelState is the health of a place that messages go to, kept once something went wrong there. A receiver
// that refuses the messages of one node may take all others: that is a trouble of its own.
type ChannelState struct {
	bun.BaseModel `bun:"table:channel_states,alias:cs"`

	Channel   string        `bun:"channel,pk"`
	Message   string        `bun:"message,pk"` // <definition>/<node> whose messages are refused, "" for the channel itself
	State     ChannelHealth `bun:"state"`
	Reported  ChannelHealth `bun:"reported"` // what the alarm about it says
	Since     time.Time     `bun:"since"`    // of the trouble
	Error     string        `bun:"error"`
	UpdatedAt time.Time     `bun:"updated_at"`
}

// Key names the state: the channel, with the message if it is about one.
func (c *ChannelState) Key() string { return ChannelKey(c.Channel, c.Message) }

// ChannelKey is the key of the state of a channel, or of a message in it.
func ChannelKey(channel, message string) string {
	if message == "" {
		return channel
	}
	return channel + " " + message
}

// upsertChannelState keeps the beginning of a trouble that is not over, or whose end was not reported.
func (s *Store) upsertChannelState(c *ChannelState) *bun.InsertQuery {
	c.Reported = ChannelOK
	return s.write.NewInsert().Model(c).On("CONFLICT (channel, message) DO UPDATE").
		Set("state = EXCLUDED.state").Set("error = EXCLUDED.error").Set("updated_at = EXCLUDED.updated_at").
		Set("since = CASE WHEN cs.state = 'ok' AND cs.reported = 'ok' THEN EXCLUDED.since ELSE cs.since END")
}

// SetChannelState stores the health of a channel.
func (s *Store) SetChannelState(ctx context.Context, c ChannelState) error {
	return s.InTx(ctx, func(tx *Tx) error {
		return wrap(tx.exec(tx.ctx(ctx), s.upsertChannelState(&c)), "write channel state")
	})
}

// ChannelStates returns what ever failed, by [ChannelState.Key].
func (s *Store) ChannelStates(ctx context.Context) (map[string]*ChannelState, error) {
	var cs []ChannelState
	err := s.read.NewSelect().Model(&cs).Scan(ctx)
	return byID(cs, (*ChannelState).Key), wrap(err, "read channel states")
}

// ChannelReported notes that the alarm about c says its state.
func (s *Store) ChannelReported(ctx context.Context, c *ChannelState) error {
	return s.InTx(ctx, func(tx *Tx) error {
		_, err := tx.idb.NewUpdate().Model(c).Set("reported = ?", c.State).WherePK().Exec(tx.ctx(ctx))
		return wrap(err, "write channel state")
	})
}
