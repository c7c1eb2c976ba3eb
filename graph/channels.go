package graph

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"penstock/db"
	"penstock/drivers/notify"
	"penstock/fault"
)

// object is a configuration that may be absent.
func object(o graphql.Omittable[json.RawMessage]) json.RawMessage {
	if raw := o.Value(); hasJSON(raw) {
		return raw
	}
	return nil
}

func receiptOf(r notify.Receipt) *ChannelReceipt {
	out := &ChannelReceipt{Request: orNull(r.Request), MessageID: orNull(r.MessageID), Response: r.Response}
	if r.Status != 0 {
		out.Status = new(int32(r.Status))
	}
	return out
}

// undelivered keeps what is not about the delivery: a store that is down, or a defect.
func undelivered(err error) error {
	if _, marked := errors.AsType[*fault.Error](err); !marked || fault.Is(err, fault.Internal) {
		return err
	}
	return nil
}

// pageByName cuts a page out of all records of a kind, which are few and come by name.
func pageByName[T any](all []T, nameOf func(*T) string, p db.Page) (c db.Connection[T], err error) {
	from, to := 0, len(all)
	at := func(cursor string) (int, bool) {
		name, decodeErr := base64.RawURLEncoding.DecodeString(cursor)
		if decodeErr != nil {
			err = fault.New(fault.Invalid, "The cursor is not one of this list. Start again without it.")
		}
		return slices.BinarySearchFunc(all, string(name), func(item T, name string) int { return strings.Compare(nameOf(&item), name) })
	}
	if p.After != "" {
		i, found := at(p.After)
		if from = i; found {
			from++
		}
	}
	if p.Before != "" {
		to, _ = at(p.Before)
	}
	if err != nil {
		return c, err
	}
	to = max(from, to)
	if p.Last > 0 {
		from = max(from, to-p.Last)
	} else {
		to = min(to, from+p.First)
	}
	c.Items, c.HasPrevious, c.HasNext = all[from:to], from > 0, to < len(all)
	for i := range c.Items {
		c.Cursors = append(c.Cursors, base64.RawURLEncoding.EncodeToString([]byte(nameOf(&c.Items[i]))))
	}
	return c, nil
}
