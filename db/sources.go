package db

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"penstock/fault"
)

// Source is who sends alerts, under the name in the path of its webhook. Those that only have been heard of are
// stored too, without an expectation.
type Source struct {
	bun.BaseModel `bun:"table:sources,alias:src"`

	Name           string    `bun:"name,pk"`
	Driver         string    `bun:"driver"` // that reads what it sends; "" detects it
	Description    string    `bun:"description"`
	ExpectEvery    int       `bun:"expect_every"` // seconds within which something must come; 0: nothing is expected
	Grace          int       `bun:"grace"`        // seconds that it may be late
	IsActive       bool      `bun:"is_active"`
	LastReceivedAt time.Time `bun:"last_received_at,nullzero"`
	DueAt          time.Time `bun:"due_at,nullzero"`         // when it is late; zero if nothing is expected
	SilentSince    time.Time `bun:"silent_since,nullzero"`   // zero while it is not late
	ReportedSince  time.Time `bun:"reported_since,nullzero"` // the silence that was reported and not yet taken back
	CreatedBy      string    `bun:"created_by"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"updated_at"` // by a person
}

// Watched reports whether it is noticed when the source falls silent.
func (s *Source) Watched() bool { return s.IsActive && s.ExpectEvery > 0 }

// dueAfter is when the source is late if nothing comes after a moment.
func (s *Source) dueAfter(at time.Time) time.Time {
	return at.Add(time.Duration(s.ExpectEvery+s.Grace) * time.Second)
}

// Sources returns all sources by name. They are few.
func (s *Store) Sources(ctx context.Context) ([]Source, error) {
	var all []Source
	err := s.read.NewSelect().Model(&all).Order("name").Scan(ctx)
	return all, wrap(err, "read sources")
}

// Source returns a source by its name.
func (s *Store) Source(ctx context.Context, name string) (*Source, error) {
	src := new(Source)
	if err := s.read.NewSelect().Model(src).Where("name = ?", name).Scan(ctx); err != nil {
		return nil, found(err, "read source", "There is no source %q.", name)
	}
	return src, nil
}

// SaveSource creates or changes what a person says of a source: driver, description, expectation, activity. A new
// expectation counts from now.
func (s *Store) SaveSource(ctx context.Context, in Source, mustCreate, mustExist bool, now time.Time) (saved *Source, created bool, err error) {
	err = s.InTx(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		old := new(Source)
		err := tx.forUpdate(tx.idb.NewSelect().Model(old).Where("name = ?", in.Name)).Scan(ctx)
		created = errors.Is(err, sql.ErrNoRows)
		switch {
		case err != nil && !created:
			return wrap(err, "read source")
		case created && mustExist:
			return fault.New(fault.NotFound, "There is no source %q.", in.Name)
		case !created && mustCreate:
			return sourceTaken(nil)
		}
		saved = &in
		if created {
			in.CreatedAt = now
		} else {
			in.CreatedBy, in.CreatedAt, in.LastReceivedAt = old.CreatedBy, old.CreatedAt, old.LastReceivedAt
			in.DueAt, in.SilentSince, in.ReportedSince = old.DueAt, old.SilentSince, old.ReportedSince
		}
		in.UpdatedAt = now
		switch {
		case !in.Watched():
			in.DueAt, in.SilentSince = time.Time{}, time.Time{}
		case created || !old.Watched() || in.ExpectEvery != old.ExpectEvery || in.Grace != old.Grace:
			in.DueAt, in.SilentSince = in.dueAfter(now), time.Time{}
		}
		_, err = tx.idb.NewInsert().Model(&in).On("CONFLICT (name) DO UPDATE").Exec(ctx)
		return wrap(err, "save source")
	})
	return saved, created, err
}

func sourceTaken(err error) error {
	return &fault.Error{Code: fault.Conflict, Message: "A source with this name exists.", Fields: map[string]string{"name": "Name is taken."}, Err: err}
}

// DeleteSource forgets a source.
func (s *Store) DeleteSource(ctx context.Context, name string) error {
	return s.InTx(ctx, func(tx *Tx) error {
		res, err := tx.idb.NewDelete().Model((*Source)(nil)).Where("name = ?", name).Exec(tx.ctx(ctx))
		return affected(res, err, "delete source", "There is no source %q.", name)
	})
}

const metaWatched = "sources.watched"

// WatchSources notes what was heard of which source, and which have fallen silent or come back. What is heard of
// for the first time bears the name of its driver. Time in which no process watched, longer than patience, is nobody's silence: the
// deadlines move by it.
func (s *Store) WatchSources(ctx context.Context, heard map[string]time.Time, patience time.Duration, now time.Time) error {
	return s.InTx(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		if !s.isSQLite() { // one process at a time, so that each notices what the others did
			if _, err := tx.idb.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('penstock sources', 0))"); err != nil {
				return wrap(err, "lock sources")
			}
		}
		var all []Source
		if err := tx.forUpdate(tx.idb.NewSelect().Model(&all).Order("name")).Scan(ctx); err != nil {
			return wrap(err, "read sources")
		}
		missed, err := tx.unwatched(ctx, patience, now)
		if err != nil {
			return err
		}
		heard := maps.Clone(heard)
		var changed []Source
		for _, src := range all {
			before := src
			src.watch(heard[src.Name], missed, now)
			delete(heard, src.Name)
			if src != before {
				changed = append(changed, src)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(heard)) {
			changed = append(changed, Source{Name: name, Driver: name, IsActive: true, LastReceivedAt: heard[name], CreatedAt: now, UpdatedAt: now})
		}
		if len(changed) == 0 {
			return nil
		}
		_, err = tx.idb.NewInsert().Model(&changed).On("CONFLICT (name) DO UPDATE").Exec(ctx)
		return wrap(err, "save sources")
	})
}

// watch brings the source up to date with what was heard of it, the time that nobody watched, and the clock.
func (s *Source) watch(heard time.Time, missed time.Duration, now time.Time) {
	if s.Watched() && s.SilentSince.IsZero() {
		s.DueAt = s.DueAt.Add(missed)
	}
	if heard.After(s.LastReceivedAt) {
		s.LastReceivedAt, s.SilentSince = heard, time.Time{}
		if s.Watched() {
			s.DueAt = s.dueAfter(heard)
		}
	}
	if s.Watched() && s.SilentSince.IsZero() && now.After(s.DueAt) {
		s.SilentSince = s.DueAt
	}
}

// unwatched returns for how long no process has watched, and notes that one does.
func (tx *Tx) unwatched(ctx context.Context, patience time.Duration, now time.Time) (missed time.Duration, err error) {
	row := metaRow{Key: metaWatched}
	err = tx.idb.NewSelect().Model(&row).WherePK().Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, wrap(err, "read when sources were watched")
	}
	if last, err := time.Parse(time.RFC3339Nano, row.Value); err == nil {
		if missed = now.Sub(last); missed <= patience {
			missed = 0
		}
	}
	row.Value = now.UTC().Format(time.RFC3339Nano)
	_, err = tx.idb.NewInsert().Model(&row).On("CONFLICT (key) DO UPDATE").Set("value = EXCLUDED.value").Exec(ctx)
	return missed, wrap(err, "note that sources are watched")
}

// SourceReported notes that the silence of a source was reported (since), or that its end was (zero).
func (s *Store) SourceReported(ctx context.Context, name string, since time.Time) error {
	return s.InTx(ctx, func(tx *Tx) error {
		q := tx.idb.NewUpdate().Model(&Source{Name: name, ReportedSince: since}).Column("reported_since").WherePK()
		_, err := q.Exec(tx.ctx(ctx))
		return wrap(err, "note the report about a source")
	})
}
