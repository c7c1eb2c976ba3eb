package graph

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits bound what one caller can ask for. A zero field means its default; see [Limits.table].
type Limits struct {
	Body       int64
	Tokens     int
	Selections int
	Depth      int
	Aliases    int
	RootFields int
	Directives int
	Fields     int
	Complexity int
	Page       int
	IDs        int
	Search     int
	Budget     int
	Restore    int
	Errors     int
	Time       time.Duration

	Streams    int
	Sockets    int
	Operations int
	Init       time.Duration
	Ping       time.Duration
	Write      time.Duration
	Patience   time.Duration
	Recheck    time.Duration
}

// Limit is one of [Limits], for the documentation.
type Limit struct {
	Name, Default, What string

	set func(string) error
}

// table lists the limits by the names that [ParseLimits] reads.
func (l *Limits) table() []Limit {
	return []Limit{
		{"body", "262144", "bytes of a request or socket message", whole(&l.Body)},
		{"tokens", "2000", "tokens of a document", whole(&l.Tokens)},
		{"selections", "500", "fields written in a document", whole(&l.Selections)},
		{"depth", "12", "levels of nested fields; introspection has a rule of its own", whole(&l.Depth)},
		{"aliases", "30", "aliases of an operation, fragments expanded", whole(&l.Aliases)},
		{"root-fields", "20", "root fields of an operation, fragments expanded", whole(&l.RootFields)},
		{"directives", "50", "directives of an operation, fragments expanded", whole(&l.Directives)},
		{"fields", "10000", "fields of an operation, fragments expanded, without page sizes", whole(&l.Fields)},
		{"complexity", "5000", "cost of an operation, page sizes multiplied", whole(&l.Complexity)},
		{"page", "100", "items of a page of a list; at most 1000", whole(&l.Page)},
		{"ids", "100", "ids in `nodes`", whole(&l.IDs)},
		{"search", "10000", "records that a page looks at for filters without an index", whole(&l.Search)},
		{"budget", "500000", "cost that a caller can spend at once", whole(&l.Budget)},
		{"restore", "50000", "cost that a caller gets back per second", whole(&l.Restore)},
		{"errors", "5", "errors shown in an answer", whole(&l.Errors)},
		{"time", "30s", "for a query or mutation to be answered", lasting(&l.Time)},
		{"streams", "100", "open streams of Server-Sent Events of one caller", whole(&l.Streams)},
		{"sockets", "20", "open WebSockets of one caller", whole(&l.Sockets)},
		{"operations", "50", "operations at the same time on one socket", whole(&l.Operations)},
		{"init", "5s", "from opening a socket to its connection_init", lasting(&l.Init)},
		{"ping", "15s", "between signs of life on streams and sockets", lasting(&l.Ping)},
		{"write", "10s", "for a client to take one message of a stream", lasting(&l.Write)},
		{"patience", "5s", "for a subscriber whose queue of 256 events is full", lasting(&l.Patience)},
		{"recheck", "5s", "between looks at the credential of a stream", lasting(&l.Recheck)},
	}
}

func whole[N int | int64](field *N) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a whole number above 0", text)
		}
		if *field == 0 {
			*field = N(n)
		}
		return nil
	}
}

func lasting(field *time.Duration) func(string) error {
	return func(text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is not a duration such as 30s", text)
		}
		if *field == 0 {
			*field = d
		}
		return nil
	}
}

// AllLimits lists the limits, for the documentation.
func AllLimits() []Limit { return new(Limits).table() }

// ParseLimits reads "depth=20,time=10s". What is not named has its default.
func ParseLimits(text string) (Limits, error) {
	var l Limits
	given := map[string]bool{}
	for pair := range strings.SplitSeq(text, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		known := false
		var names []string
		for _, limit := range l.table() {
			names = append(names, limit.Name)
			if limit.Name != strings.TrimSpace(name) {
				continue
			}
			known = true
			if given[limit.Name] {
				return l, fmt.Errorf("%s is given twice", limit.Name)
			}
			given[limit.Name] = true
			if err := limit.set(strings.TrimSpace(value)); err != nil {
				return l, fmt.Errorf("%s: %w", limit.Name, err)
			}
		}
		if !known {
			return l, fmt.Errorf("there is no limit %q; available: %s", name, strings.Join(names, ", "))
		}
	}
	switch full := l.withDefaults(); {
	case l.Page > full.Page:
		return l, fmt.Errorf("page: %d is more than %d, the most that a list gives at once", l.Page, full.Page)
	case given["budget"] && l.Budget < full.Complexity:
		return l, fmt.Errorf("budget: %d is less than the limit complexity, %d: what is allowed could never be paid for", l.Budget, full.Complexity)
	}
	return l, nil
}

func (l Limits) withDefaults() Limits {
	for _, limit := range l.table() {
		if err := limit.set(limit.Default); err != nil {
			panic(err) // the table is wrong
		}
	}
	l.Page = min(l.Page, 1000)             // of the store
	l.Budget = max(l.Budget, l.Complexity) // or what is allowed could never be paid for
	return l
}
