package cron_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"

	"penstock/engine/cron"
)

func parse(t *testing.T, text, zone string) *cron.Schedule {
	t.Helper()
	z, err := cron.Zone(zone)
	if err != nil {
		t.Fatal(err)
	}
	s, err := cron.Parse(text, z)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// TestNext follows a schedule from an instant on. What is expected is written as the clock of the zone
// shows it, with its offset.
func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, cron, zone, from, want string }{
		{"a time that the clock jumps over comes right after the jump", "30 2 * * *", "Europe/Berlin", "2026-03-27T12:00+01:00",
			"03-28T02:30+01:00 03-29T03:00+02:00 03-30T02:30+02:00"},
		{"a time that is shown twice comes the first time", "30 2 * * *", "Europe/Berlin", "2026-10-24T00:00+02:00",
			"10-24T02:30+02:00 10-25T02:30+02:00 10-26T02:30+01:00"},
		{"several times that are jumped over come once", "*/20 2 * * *", "Europe/Berlin", "2026-03-29T00:00+01:00",
			"03-29T03:00+02:00 03-30T02:00+02:00"},
		{"a time that is jumped over and the end of the jump come once", "0 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00+01:00",
			"03-29T03:00+02:00 03-30T02:00+02:00 03-30T03:00+02:00"},
		{"every hour is every real hour when the clock jumps", "0 * * * *", "Europe/Berlin", "2026-03-29T00:30+01:00",
			"03-29T01:00+01:00 03-29T03:00+02:00 03-29T04:00+02:00"},
		{"every hour is every real hour when the clock is put back", "0 * * * *", "Europe/Berlin", "2026-10-25T01:30+02:00",
			"10-25T02:00+02:00 10-25T02:00+01:00 10-25T03:00+01:00"},
		{"every half hour is every real half hour when the clock is put back", "*/30 * * * *", "Europe/Berlin", "2026-10-25T02:10+02:00",
			"10-25T02:30+02:00 10-25T02:00+01:00 10-25T02:30+01:00 10-25T03:00+01:00"},
		{"from inside the second pass the first is over", "*/20 2 * * *", "Europe/Berlin", "2026-10-25T02:10+01:00",
			"10-26T02:00+01:00"},
		{"every second hour has no double", "0 */2 * * *", "Europe/Berlin", "2026-10-25T00:30+02:00",
			"10-25T02:00+02:00 10-25T04:00+01:00"},

		{"jump in New York", "30 2 * * *", "America/New_York", "2026-03-07T12:00-05:00", "03-08T03:00-04:00 03-09T02:30-04:00"},
		{"back in New York", "30 1 * * *", "America/New_York", "2026-10-31T12:00-04:00", "11-01T01:30-04:00 11-02T01:30-05:00"},
		{"every hour back in New York", "15 * * * *", "America/New_York", "2026-11-01T00:30-04:00", "11-01T01:15-04:00 11-01T01:15-05:00 11-01T02:15-05:00"},

		{"half an hour's jump on Lord Howe", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00+10:30", "10-04T02:30+11:00 10-05T02:15+11:00"},
		{"half an hour back on Lord Howe", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00+11:00", "04-05T01:45+11:00 04-06T01:45+10:30"},
		{"every hour on Lord Howe, jump", "0 * * * *", "Australia/Lord_Howe", "2026-10-04T00:30+10:30", "10-04T01:00+10:30 10-04T03:00+11:00 10-04T04:00+11:00"},
		{"every hour on Lord Howe, back", "0 * * * *", "Australia/Lord_Howe", "2026-04-05T00:30+11:00", "04-05T01:00+11:00 04-05T02:00+10:30 04-05T03:00+10:30"},
		{"every quarter on Lord Howe, back", "*/15 1-3 * * *", "Australia/Lord_Howe", "2026-04-05T01:30+11:00", "04-05T01:45+11:00 04-05T02:00+10:30"},

		{"midnight that is jumped over", "0 0 * * *", "America/Santiago", "2026-09-05T12:00-04:00", "09-06T01:00-03:00 09-07T00:00-03:00"},
		{"a day that is jumped over", "0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00-10:00", "12-31T00:00+14:00 12-30T12:00+14:00"},
		{"clock put back over midnight", "0 0 * * *", "America/St_Johns", "2010-11-06T12:00-02:30", "11-07T00:00-02:30 11-08T00:00-03:30"},
		{"every hour, clock put back over midnight", "0 * * * 0", "America/St_Johns", "2010-11-06T23:30-02:30", "11-07T00:00-02:30 11-07T00:00-03:30 11-07T01:00-03:30"},

		{"leap day", "0 6 29 2 *", "Europe/Berlin", "2026-01-01T00:00+01:00", "02-29T06:00+01:00 02-29T06:00+01:00"},
		{"a leap day that is a Monday", "0 6 29 2 */1", "UTC", "2096-02-29T12:00+00:00", "02-29T06:00+00:00"},
		{"day after 28 February", "0 0 * * *", "America/New_York", "2028-02-28T00:00-05:00", "02-29T00:00-05:00 03-01T00:00-05:00"},
		{"year end", "59 23 31 12 *", "Australia/Lord_Howe", "2026-12-31T23:58+11:00", "12-31T23:59+11:00 12-31T23:59+11:00"},
		{"over the year", "*/30 * * * *", "America/New_York", "2026-12-31T23:15-05:00", "12-31T23:30-05:00 01-01T00:00-05:00"},
		{"exactly at a time is not after it", "0 0 1 1 *", "Europe/Berlin", "2027-01-01T00:00+01:00", "01-01T00:00+01:00"},

		{"either day", "0 12 13 * fri", "UTC", "2026-11-01T00:00+00:00", "11-06T12:00+00:00 11-13T12:00+00:00 11-20T12:00+00:00"},
		{"both days", "0 12 */2 * mon", "UTC", "2026-11-01T00:00+00:00", "11-09T12:00+00:00 11-23T12:00+00:00"},
		{"7 is Sunday", "0 12 * * 7", "UTC", "2026-11-23T00:00+00:00", "11-29T12:00+00:00 12-06T12:00+00:00"},
		{"a range to Sunday", "0 12 * * fri-sun", "UTC", "2026-11-23T00:00+00:00", "11-27T12:00+00:00 11-28T12:00+00:00 11-29T12:00+00:00 12-04T12:00+00:00"},
		{"a step from a value", "5/25 8 * * *", "UTC", "2026-11-23T00:00+00:00", "11-23T08:05+00:00 11-23T08:30+00:00 11-23T08:55+00:00"},
		{"a shorthand", "@Hourly", "", "2026-11-23T00:00+00:00", "11-23T01:00+00:00 11-23T02:00+00:00"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse("2006-01-02T15:04Z07:00", c.from)
			if err != nil {
				t.Fatal(err)
			}
			s := parse(t, c.cron, c.zone)
			var got []string
			for _, next := range s.Upcoming(at, len(strings.Fields(c.want))) {
				if !next.After(at) || next.Second() != 0 {
					t.Errorf("%s comes after %s", next, at)
				}
				got, at = append(got, next.Format("01-02T15:04-07:00")), next
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("%s in %s\n got %s\nwant %s", c.cron, c.zone, g, c.want)
			}
		})
	}
}

// TestLikeOthers compares with the library that most Go programs use, where there is no summer time
// and both read the day fields alike.
func TestLikeOthers(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	item := func(low, high int) string {
		switch a := low + random.IntN(high-low+1); random.IntN(3) {
		case 0:
			return fmt.Sprint(a)
		case 1:
			return fmt.Sprintf("%d-%d", a, a+random.IntN(high-a+1))
		default:
			return fmt.Sprintf("%d-%d/%d", a, high, 1+random.IntN(high-low))
		}
	}
	field := func(low, high int) string {
		if random.IntN(3) == 0 {
			return "*"
		}
		list := item(low, high)
		for range random.IntN(3) {
			list += "," + item(low, high)
		}
		return list
	}
	for range 2000 {
		text := strings.Join([]string{field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)}, " ")
		want, err := robfig.ParseStandard("TZ=UTC " + text)
		if err != nil {
			t.Fatal(err)
		}
		s := parse(t, text, "UTC")
		at := time.Date(2026, 1, 1, 0, random.IntN(525_600), random.IntN(60), 0, time.UTC)
		for range 5 {
			next := s.Next(at)
			if other := want.Next(at); !next.Equal(other) {
				t.Fatalf("%s after %s: %s, robfig %s", text, at, next, other)
			}
			at = next
		}
	}
}

// TestEveryDay holds in every zone and year: a time of day comes once a day, an hourly schedule once
// in every hour of real time where the zone's shifts are whole hours.
func TestEveryDay(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "Asia/Kolkata"} {
		for minute := 0; minute < 24*60; minute += 7 {
			s := parse(t, fmt.Sprintf("%d %d * * *", minute%60, minute/60), zone)
			days := map[string]bool{}
			for at := s.Next(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)); at.Year() == 2026; at = s.Next(at) {
				if day := at.Format(time.DateOnly); days[day] {
					t.Errorf("%s: minute %d comes twice on %s", zone, minute, day)
				} else {
					days[day] = true
				}
			}
			if len(days) < 363 {
				t.Errorf("%s: minute %d comes on %d days of 2026", zone, minute, len(days))
			}
		}
	}
	s := parse(t, "7 * * * *", "Europe/Berlin")
	at := s.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	for range 9000 {
		next := s.Next(at)
		if next.Sub(at) != time.Hour {
			t.Fatalf("%s comes after %s", next, at)
		}
		at = next
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                  "five fields are needed (minute, hour, day of the month, month, day of the week), not 0.",
		"* * * *":           "five fields are needed (minute, hour, day of the month, month, day of the week), not 4.",
		"0 0 12 * * ?":      "five fields are needed (minute, hour, day of the month, month, day of the week), not 6. Seconds and years cannot be given.",
		"60 * * * *":        `character 1: the minute "60" is not a number from 0 to 59.`,
		"0  24 * * *":       `character 4: the hour "24" is not a number from 0 to 23.`,
		"0 0 1,,3 * *":      `character 7: the day of the month "" is not a number from 1 to 31.`,
		"0 0 1 foo *":       `character 7: the month "foo" is not a number from 1 to 12, nor jan to dec.`,
		"0 0 1 1 monday":    `character 9: the day of the week "monday" is not a number from 0 to 7, nor sun to sat.`,
		"0 0 1-x * *":       `character 7: the day of the month "x" is not a number from 1 to 31.`,
		"30-10 * * * *":     `character 1: the range 30-10 of the minute ends before it begins.`,
		"*/0 * * * *":       `character 3: the step "0" of the minute is not a number from 1 to 59.`,
		"0-30/90 * * * *":   `character 6: the step "90" of the minute is not a number from 1 to 59.`,
		"0 0 L * *":         `character 5: the day of the month "L" is not a number from 1 to 31.`,
		"+5 * * * *":        `character 1: the minute "+5" is not a number from 0 to 59.`,
		"0 0 30 2 *":        "it never comes round: no such day exists.",
		"0 0 31 4,6,9,11 *": "it never comes round: no such day exists.",
		"@every 5m":         "five fields are needed (minute, hour, day of the month, month, day of the week), not 2.",
		"@reboot":           `character 1: "@reboot" is not known. There are @hourly, @daily, @weekly, @monthly and @yearly.`,
	} {
		_, err := cron.Parse(text, time.UTC)
		if _, ok := errors.AsType[*cron.Error](err); !ok || err.Error() != want {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
	for _, zone := range []string{"Mars/Olympus", "Local", "../etc/passwd", "CEST "} {
		if _, err := cron.Zone(zone); err == nil {
			t.Errorf("%q is a zone", zone)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"*/5 * * * *", "0 2 29 2 *", "@daily", "0 0 1-5/2,7 jan-mar sun", "\x00 \xff * * *"} {
		f.Add(text, "Europe/Berlin", int64(1774746000))
	}
	f.Fuzz(func(t *testing.T, text, zone string, at int64) {
		z, err := cron.Zone(zone)
		if err != nil {
			z = time.UTC
		}
		s, err := cron.Parse(text, z)
		if err != nil {
			return
		}
		after := time.Unix(at%(1<<33), 0)
		if next := s.Next(after); !next.After(after) || next.Sub(after) > 41*366*24*time.Hour {
			t.Errorf("%q in %s after %s: %s", text, zone, after, next)
		}
	})
}
