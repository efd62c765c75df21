package owner

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schedule is times of a week. It is made of windows such as "mon-fri 22:00-07:00"; one that ends before it begins
// ends on the next day.
type Schedule struct {
	windows []window
	texts   []string
}

// window is one stretch of days and minutes.
type window struct {
	days     [7]bool // by time.Weekday, of the beginning
	from, to int     // minutes from midnight; to may be beyond the day
}

const day = 24 * 60

// ParseSchedule reads windows: days, such as "mon-fri" or "sat,sun" or nothing
// for every day, and hours, such as "22:00-07:00" or nothing for the whole day.
func ParseSchedule(windows []string) (Schedule, error) {
	var s Schedule
	for _, text := range windows {
		w, err := parseWindow(strings.ToLower(strings.TrimSpace(text)))
		if err != nil {
			return Schedule{}, fmt.Errorf("schedule %q: %w", text, err)
		}
		s.windows, s.texts = append(s.windows, w), append(s.texts, strings.TrimSpace(text))
	}
	return s, nil
}

// Windows are the texts the schedule was read from.
func (s Schedule) Windows() []string { return slices.Clone(s.texts) }

var errWindow = errors.New("want days and hours, such as mon-fri 22:00-07:00")

func parseWindow(text string) (window, error) {
	w := window{to: day}
	parts := strings.Fields(text)
	if len(parts) == 0 || len(parts) > 2 {
		return w, errWindow
	}
	if hours := parts[len(parts)-1]; strings.Contains(hours, ":") {
		from, to, ok := strings.Cut(hours, "-")
		var err1, err2 error
		w.from, err1 = minutes(from)
		w.to, err2 = minutes(to)
		if !ok || err1 != nil || err2 != nil || w.from == w.to || w.from == day {
			return w, errWindow
		}
		if w.to < w.from {
			w.to += day
		}
		parts = parts[:len(parts)-1]
	}
	if len(parts) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
		return w, nil
	}
	if len(parts) != 1 {
		return w, errWindow
	}
	return w, w.parseDays(parts[0])
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (w *window) parseDays(text string) error {
	for item := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(item, "-")
		from, to := slices.Index(dayNames, first), slices.Index(dayNames, last)
		if !ranged {
			to = from
		}
		if from < 0 || to < 0 {
			return fmt.Errorf("%q is no day: want mon, tue, wed, thu, fri, sat or sun", item)
		}
		for d := from; ; d = (d + 1) % 7 {
			w.days[d] = true
			if d == to {
				break
			}
		}
	}
	return nil
}

func minutes(text string) (int, error) {
	h, m, ok := strings.Cut(text, ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !ok || err1 != nil || err2 != nil || hour < 0 || minute < 0 || minute > 59 || len(m) != 2 || hour*60+minute > day {
		return 0, errWindow
	}
	return hour*60 + minute, nil
}

// Empty says that the schedule has no windows.
func (s Schedule) Empty() bool { return len(s.windows) == 0 }

// Covers says whether a moment is in a window, in that moment's time zone.
func (s Schedule) Covers(now time.Time) bool {
	today, at := int(now.Weekday()), now.Hour()*60+now.Minute()
	for _, w := range s.windows {
		yesterday := (today + 6) % 7
		if w.days[today] && at >= w.from && at < w.to || w.days[yesterday] && at+day < w.to {
			return true
		}
	}
	return false
}

// Open says whether the owner lends at a moment, by the hours alone.
func (r Rules) Open(now time.Time) bool {
	return (r.Hours.Empty() || r.Hours.Covers(now)) && !r.Quiet.Covers(now)
}

// Opens is when the owner lends again after a moment, to the minute; zero when never.
func (r Rules) Opens(now time.Time) time.Time {
	t := now.Truncate(time.Minute)
	for range 8 * day {
		if t.After(now) && r.Open(t) {
			return t
		}
		t = t.Add(time.Minute)
	}
	return time.Time{}
}
