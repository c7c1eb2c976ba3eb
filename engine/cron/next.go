package cron

import "time"

// Upcoming returns the next n times after an instant.
func (s *Schedule) Upcoming(after time.Time, n int) []time.Time {
	times := make([]time.Time, n)
	for i := range times {
		after = s.Next(after)
		times[i] = after
	}
	return times
}

// Next returns the first time after an instant, in the time zone of the schedule.
func (s *Schedule) Next(after time.Time) time.Time {
	const everyHour = 1<<24 - 1
	if s.hours == everyHour {
		return s.nextReal(after.In(s.zone))
	}
	return s.nextOnWall(after.In(s.zone))
}

// nextReal goes through the instants.
func (s *Schedule) nextReal(t time.Time) time.Time {
	t = t.Add(time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	for {
		if !s.fits(t) {
			year, month, day := t.Date()
			if midnight := onWall(time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC), s.zone); midnight.After(t) {
				t = midnight
				continue
			}
		} else if s.minutes>>t.Minute()&1 == 1 {
			return t
		}
		t = t.Add(time.Minute)
	}
}

// nextOnWall goes through the times of day that the clock has not shown yet. One that it shows again
// after it was put back is not After the instant: it came the first time.
func (s *Schedule) nextOnWall(after time.Time) time.Time {
	year, month, today := after.Date()
	shown := time.Date(year, month, today, after.Hour(), after.Minute(), 0, 0, time.UTC)
	for day := shown.Truncate(24 * time.Hour); ; day = day.AddDate(0, 0, 1) {
		if !s.fits(day) {
			continue
		}
		for at := 0; at < 24*60; at++ {
			if s.hours>>(at/60)&1 == 0 {
				at += 59
				continue
			}
			wall := day.Add(time.Duration(at) * time.Minute)
			if s.minutes>>(at%60)&1 == 0 || !wall.After(shown) {
				continue
			}
			if t := onWall(wall, s.zone); t.After(after) {
				return t
			}
		}
	}
}

// fits reports whether the schedule comes on the day that t shows.
func (s *Schedule) fits(t time.Time) bool {
	day, weekday := s.days>>t.Day()&1 == 1, s.weekdays>>t.Weekday()&1 == 1
	if s.months>>t.Month()&1 == 0 {
		return false
	}
	if s.bothDays {
		return day && weekday
	}
	return day || weekday
}

// comesRound looks at 28 years, in which every date falls on every day of the week.
func (s *Schedule) comesRound() bool {
	for day := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2029; day = day.AddDate(0, 0, 1) {
		if s.fits(day) {
			return true
		}
	}
	return false
}

// onWall is the instant at which the clock of a zone shows what a UTC clock shows at wall: the first
// if there are two, the end of the jump if it never does.
func onWall(wall time.Time, zone *time.Location) time.Time {
	year, month, day := wall.Date()
	t := time.Date(year, month, day, wall.Hour(), wall.Minute(), 0, 0, zone)
	start, end := t.ZoneBounds()
	_, offset := t.Zone()
	switch shown := t.Add(time.Duration(offset) * time.Second); { // on a UTC clock
	case shown.Before(wall):
		return end
	case shown.After(wall):
		return start
	}
	if !start.IsZero() {
		_, before := start.Add(-time.Second).Zone()
		if first := wall.Add(-time.Duration(before) * time.Second); first.Before(start) {
			return first.In(zone)
		}
	}
	return t
}
