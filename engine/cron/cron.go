// Package cron is the five fields of a schedule and when they come round. It is pure: no clock, no
// I/O but the time zone database.
//
// Summer time. A schedule whose hour field allows every hour follows real time: "0 * * * *" comes
// once in every real hour, whatever the clock on the wall does. Any other schedule names times of
// day, and each of them comes once a day: one that the clock jumps over comes at the first instant
// after the jump (several of them: once), one that the clock shows twice comes the first time.
package cron

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schedule is a parsed expression in a time zone.
type Schedule struct {
	minutes, hours, days, months, weekdays uint64 // bit n is set if n fits
	bothDays                               bool   // a day must fit days and weekdays, not just one of them
	zone                                   *time.Location
}

// Error is a mistake in an expression.
type Error struct {
	Column  int // of the character, from 1; 0 for the whole
	Message string
}

func (e *Error) Error() string {
	if e.Column == 0 {
		return e.Message
	}
	return fmt.Sprintf("character %d: %s", e.Column, e.Message)
}

// Zone finds a time zone by its IANA name; "" is UTC.
func Zone(name string) (*time.Location, error) {
	if name == "Local" { // the server's, which is nobody's to rely on
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	return zone, nil
}

// shorthands are the names that stand for an expression.
var shorthands = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

type field struct {
	name     string
	min, max int
	names    []string // of the values from min
}

var fields = [5]field{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of the month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")},
	{name: "day of the week", max: 7, names: strings.Fields("sun mon tue wed thu fri sat")},
}

// Parse reads an expression: five fields (minute, hour, day of the month, month, day of the week) or
// a shorthand such as @hourly. A mistake is an [*Error]; so is an expression that never comes round.
// As in crontab(5), where neither day field begins with * a day needs to fit only one of them.
func Parse(text string, zone *time.Location) (*Schedule, error) {
	words, columns := split(text)
	if len(words) == 1 && words[0][0] == '@' {
		long, known := shorthands[strings.ToLower(words[0])]
		if !known {
			return nil, &Error{columns[0], fmt.Sprintf("%q is not known. There are @hourly, @daily, @weekly, @monthly and @yearly.", words[0])}
		}
		words, columns = split(long)
	}
	if len(words) != len(fields) {
		hint := ""
		if len(words) == 6 || len(words) == 7 {
			hint = " Seconds and years cannot be given."
		}
		return nil, &Error{0, fmt.Sprintf("five fields are needed (minute, hour, day of the month, month, day of the week), not %d.%s", len(words), hint)}
	}
	s := &Schedule{zone: zone, bothDays: words[2][0] == '*' || words[4][0] == '*'}
	for i, into := range []*uint64{&s.minutes, &s.hours, &s.days, &s.months, &s.weekdays} {
		bits, err := fields[i].parse(words[i], columns[i])
		if err != nil {
			return nil, err
		}
		*into = bits
	}
	s.weekdays |= s.weekdays >> 7 & 1 // 7 is Sunday too
	if !s.comesRound() {
		return nil, &Error{0, "it never comes round: no such day exists."}
	}
	return s, nil
}

// split returns the words of an expression and the columns they begin at.
func split(text string) (words []string, columns []int) {
	words = strings.Fields(text)
	at := 0
	for _, word := range words {
		at += strings.Index(text[at:], word)
		columns = append(columns, len([]rune(text[:at]))+1)
		at += len(word)
	}
	return words, columns
}

// parse reads a list of values, ranges and steps.
func (f field) parse(word string, column int) (bits uint64, err error) {
	for _, part := range strings.Split(word, ",") {
		values, step, stepped := strings.Cut(part, "/")
		from, to, isRange := strings.Cut(values, "-")
		low, high := f.min, f.max
		if values == "*" {
			if f.max == 7 {
				high = 6
			}
		} else {
			if low, err = f.value(from, column); err != nil {
				return 0, err
			}
			switch {
			case isRange:
				if high, err = f.value(to, column+len(from)+1); err != nil {
					return 0, err
				}
				if f.max == 7 && high == 0 && low > 0 {
					high = 7 // a week may end on Sunday
				}
			case !stepped:
				high = low
			}
		}
		if low > high {
			return 0, &Error{column, fmt.Sprintf("the range %s of the %s ends before it begins.", values, f.name)}
		}
		by := 1
		if stepped {
			if by, err = strconv.Atoi(step); err != nil || by < 1 || by > f.max-f.min {
				return 0, &Error{column + len(values) + 1, fmt.Sprintf("the step %q of the %s is not a number from 1 to %d.", step, f.name, f.max-f.min)}
			}
		}
		for n := low; n <= high; n += by {
			bits |= 1 << n
		}
		column += len(part) + 1
	}
	return bits, nil
}

func (f field) value(text string, column int) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.min + i, nil
		}
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || int(n) < f.min || int(n) > f.max {
		names := ""
		if f.names != nil {
			names = fmt.Sprintf(", nor %s to %s", f.names[0], f.names[len(f.names)-1])
		}
		return 0, &Error{column, fmt.Sprintf("the %s %q is not a number from %d to %d%s.", f.name, text, f.min, f.max, names)}
	}
	return int(n), nil
}
