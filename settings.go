package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"penstock/db/seal"
	"penstock/engine"
	"penstock/graph"
)

// settings are what flags and environment say, checked.
type settings struct {
	listen, opsListen string
	databaseURL       string
	dataDir           string
	publicURL         string
	hosts             []string
	key               []byte
	bootstrapToken    string
	allowPrivate      []string
	workers           int
	notifyRetryFor    time.Duration
	alarmChannel      string
	retain            engine.Retention
	heartbeat         engine.Heartbeat
	graphql           graph.Limits
	documents         graph.Documents
	logLevel          slog.Level
}

const (
	defaultListen    = "127.0.0.1:8080"
	defaultOpsListen = "127.0.0.1:8081"
	defaultDataDir   = "./penstock-data"

	defaultHeartbeat       = "1m"
	defaultRetainRuns      = "90d"
	defaultRetainBodies    = "14d"
	defaultRetainIncidents = "365d"
)

const (
	generalFlags  = "SETTINGS"
	databaseFlags = "DATABASE AND SECRETS"
	keepingFlags  = "WHAT IS KEPT"
)

// text makes a flag and the environment variable of the same name.
func text(name, env, usage, value, category string) cli.Flag {
	return &cli.StringFlag{Name: name, Usage: usage, Value: value, Sources: cli.EnvVars(env), Category: category}
}

// storeFlags are those of every command that opens the store.
func storeFlags() []cli.Flag {
	return []cli.Flag{
		text("data-dir", "PENSTOCK_DATA_DIR", "where the SQLite file and the keys are", defaultDataDir, databaseFlags),
		text("database-url", "PENSTOCK_DATABASE_URL", "sqlite:<path> or postgres://… (default: sqlite:<data dir>/penstock.db)", "", databaseFlags),
		text("secret-key", "PENSTOCK_SECRET_KEY", "32 bytes in base64 or hex, or a text of 32 characters or more, that encrypt stored secrets; better given as a file", "", databaseFlags),
		text("secret-key-file", "PENSTOCK_SECRET_KEY_FILE", "file with the secret key (default on SQLite: <data dir>/secret.key, made at the first start)", "", databaseFlags),
		text("log-level", "PENSTOCK_LOG_LEVEL", "debug, info, warn or error", "info", generalFlags),
	}
}

// serveFlags are those of a server.
func serveFlags() []cli.Flag {
	return append([]cli.Flag{
		text("listen", "PENSTOCK_LISTEN", "address for people and webhooks", defaultListen, generalFlags),
		text("ops-listen", "PENSTOCK_OPS_LISTEN", "address for /metrics, /healthz, /readyz and profiles; \"off\" for none", defaultOpsListen, generalFlags),
		text("public-url", "PENSTOCK_PUBLIC_URL", "address under which people reach the server, for links in messages; https makes cookies Secure", "", generalFlags),
		text("allowed-hosts", "PENSTOCK_ALLOWED_HOSTS", "further host names that requests may be addressed to, separated by commas", "", generalFlags),
		text("allow-private-targets", "PENSTOCK_ALLOW_PRIVATE_TARGETS", "CIDRs and hosts that notifications and analysers may reach although private, separated by commas", "", generalFlags),
		text("notify-retry-for", "PENSTOCK_NOTIFY_RETRY_FOR", "how long a message is tried whose notify node says no number of retries (default: 24h)", "", generalFlags),
		text("alarm-channel", "PENSTOCK_ALARM_CHANNEL", "stored channel for alarms that would go to the channel they are about, or only to the console (default: the channel default, else one that has passed its test)", "", generalFlags),
		text("workers", "PENSTOCK_WORKERS", "stages that run at the same time (default: 256)", "", generalFlags),
		text("heartbeat-url", "PENSTOCK_HEARTBEAT_URL", "address of a checker outside, which is asked with GET as long as alerts are really worked on", "", generalFlags),
		text("heartbeat-interval", "PENSTOCK_HEARTBEAT_INTERVAL", "time between two heartbeats", defaultHeartbeat, generalFlags),
		text("retain-runs", "PENSTOCK_RETAIN_RUNS", "how long ended runs, their stages and events, and deliveries are kept: 90d, 36h; 0: for ever", defaultRetainRuns, keepingFlags),
		text("retain-bodies", "PENSTOCK_RETAIN_BODIES", "how long the bodies of deliveries are kept; without them a run cannot be repeated; 0: as long as the delivery", defaultRetainBodies, keepingFlags),
		text("retain-incidents", "PENSTOCK_RETAIN_INCIDENTS", "how long resolved incidents and their alerts are kept, at least as long as their runs; 0: for ever", defaultRetainIncidents, keepingFlags),
		text("retain-max-runs", "PENSTOCK_RETAIN_MAX_RUNS", "the oldest ended runs beyond this number are deleted whatever their age; 0: no bound", "0", keepingFlags),
		text("retain-max-bytes", "PENSTOCK_RETAIN_MAX_BYTES", "SQLite: the oldest ended runs are deleted while the file holds more than this: 500MB, 20GB; 0: no bound", "0", keepingFlags),
		text("graphql-limits", "PENSTOCK_GRAPHQL_LIMITS", "what one GraphQL caller may ask for, where it differs from the documented defaults: depth=20,time=10s", "", generalFlags),
		text("graphql-documents", "PENSTOCK_GRAPHQL_DOCUMENTS", "folder with the only GraphQL documents that are executed: files *.graphql, or *.json as GraphQL tools write them (default: any document is)", "", generalFlags),
		text("bootstrap-token", "PENSTOCK_BOOTSTRAP_TOKEN", "becomes an admin API token at the first start on an empty store (at least 8 characters; better 32)", "", databaseFlags),
	}, storeFlags()...)
}

// badSetting says which setting is wrong, how, and what a right one looks like.
func badSetting(name, value, problem, example string) error {
	return fmt.Errorf("%s=%q %s; for example %s=%s", name, value, problem, name, example)
}

// readSettings checks everything before anything is opened; all problems are reported at once.
func readSettings(c *cli.Command) (settings, error) {
	// A variable that is set to nothing counts as one that is not set.
	get := func(name, otherwise string) string { return cmp.Or(c.String(name), otherwise) }
	s := settings{
		listen: get("listen", defaultListen), opsListen: get("ops-listen", defaultOpsListen),
		databaseURL: c.String("database-url"), dataDir: get("data-dir", defaultDataDir), publicURL: strings.TrimRight(c.String("public-url"), "/"),
		hosts: words(c.String("allowed-hosts")), bootstrapToken: c.String("bootstrap-token"),
		allowPrivate: words(c.String("allow-private-targets")),
	}
	var problems []error
	bad := func(name, value, problem, example string) {
		problems = append(problems, badSetting(name, value, problem, example))
	}
	if !isAddress(s.listen) {
		bad("PENSTOCK_LISTEN", s.listen, "is not an address host:port", "127.0.0.1:8080")
	}
	if s.opsListen == "off" {
		s.opsListen = ""
	} else if !isAddress(s.opsListen) {
		bad("PENSTOCK_OPS_LISTEN", s.opsListen, "is neither an address host:port nor \"off\"", "127.0.0.1:8081")
	}
	if s.publicURL != "" {
		u, err := url.Parse(s.publicURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			bad("PENSTOCK_PUBLIC_URL", s.publicURL, "is not an address of the form https://host, without path and query", "https://penstock.example.com")
		}
	}
	if s.bootstrapToken != "" && len(s.bootstrapToken) < 8 { // the value is a secret
		problems = append(problems, errors.New("PENSTOCK_BOOTSTRAP_TOKEN is shorter than 8 characters; better have 32 or more, for example the output of: openssl rand -hex 32"))
	}
	switch {
	case s.databaseURL == "":
		s.databaseURL = "sqlite:" + filepath.Join(s.dataDir, "penstock.db")
	case s.databaseURL == "sqlite:" || !isDatabase(s.databaseURL): // the URL may hold a password
		problems = append(problems, errors.New("PENSTOCK_DATABASE_URL is neither sqlite:<path> nor postgres://…; for example PENSTOCK_DATABASE_URL=postgres://penstock@db.example.com/penstock"))
	}
	s.alarmChannel = c.String("alarm-channel")
	if text := c.String("notify-retry-for"); text != "" {
		age, ok := parseAge(text)
		if !ok {
			bad("PENSTOCK_NOTIFY_RETRY_FOR", text, "is not a duration of a minute or more", "24h")
		}
		s.notifyRetryFor = age
	}
	var err error
	if s.graphql, err = graph.ParseLimits(c.String("graphql-limits")); err != nil {
		problems = append(problems, fmt.Errorf("PENSTOCK_GRAPHQL_LIMITS: %w; for example PENSTOCK_GRAPHQL_LIMITS=depth=20,time=10s", err))
	}
	if folder := c.String("graphql-documents"); folder != "" {
		if s.documents, err = graph.ReadDocuments(folder); err != nil {
			problems = append(problems, fmt.Errorf("PENSTOCK_GRAPHQL_DOCUMENTS: %w", err))
		}
	}
	if text := c.String("workers"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 10_000 {
			bad("PENSTOCK_WORKERS", text, "is not a number from 1 to 10000", "256")
		}
		s.workers = n
	}
	problems = append(problems, s.readHeartbeat(c), s.readRetention(c))
	if s.logLevel, err = readLogLevel(c); err != nil {
		problems = append(problems, err)
	}
	if errors.Join(problems...) == nil {
		s.key, err = readKey(c.String("secret-key"), c.String("secret-key-file"), s)
		problems = append(problems, err)
	}
	return s, errors.Join(problems...)
}

func (s *settings) readHeartbeat(c *cli.Command) error {
	var problems []error
	s.heartbeat.URL = c.String("heartbeat-url")
	if u, err := url.Parse(s.heartbeat.URL); s.heartbeat.URL != "" && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "") { // it may be a secret
		problems = append(problems, errors.New("PENSTOCK_HEARTBEAT_URL is not an address of the form https://host/path; for example PENSTOCK_HEARTBEAT_URL=https://hc-ping.com/<id>"))
	}
	text := cmp.Or(c.String("heartbeat-interval"), defaultHeartbeat)
	var err error
	if s.heartbeat.Every, err = time.ParseDuration(text); err != nil || s.heartbeat.Every < time.Second {
		problems = append(problems, badSetting("PENSTOCK_HEARTBEAT_INTERVAL", text, "is not a time of a second or more", "1m"))
	}
	return errors.Join(problems...)
}

// readRetention reads what is kept.
func (s *settings) readRetention(c *cli.Command) error {
	var problems []error
	for _, age := range []struct {
		flag, env, otherwise string
		into                 *time.Duration
	}{
		{"retain-runs", "PENSTOCK_RETAIN_RUNS", defaultRetainRuns, &s.retain.Runs},
		{"retain-bodies", "PENSTOCK_RETAIN_BODIES", defaultRetainBodies, &s.retain.Bodies},
		{"retain-incidents", "PENSTOCK_RETAIN_INCIDENTS", defaultRetainIncidents, &s.retain.Incidents},
	} {
		text := cmp.Or(c.String(age.flag), age.otherwise)
		var ok bool
		if *age.into, ok = parseAge(text); !ok {
			problems = append(problems, badSetting(age.env, text, "is not a time of a minute or more, nor 0", "90d"))
		}
	}
	if text := c.String("retain-max-runs"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			problems = append(problems, badSetting("PENSTOCK_RETAIN_MAX_RUNS", text, "is not a number of runs", "1000000"))
		}
		s.retain.MaxRuns = n
	}
	var ok bool
	switch s.retain.MaxBytes, ok = parseBytes(c.String("retain-max-bytes")); {
	case !ok:
		problems = append(problems, badSetting("PENSTOCK_RETAIN_MAX_BYTES", c.String("retain-max-bytes"), "is not a size of 100MB or more, nor 0", "20GB"))
	case s.retain.MaxBytes > 0 && !strings.HasPrefix(s.databaseURL, "sqlite:"):
		problems = append(problems, errors.New("PENSTOCK_RETAIN_MAX_BYTES is for SQLite: what a PostgreSQL database holds cannot be measured cheaply. Set PENSTOCK_RETAIN_MAX_RUNS instead"))
	}
	return errors.Join(problems...)
}

// parseAge reads a duration that may be in days.
func parseAge(text string) (age time.Duration, ok bool) {
	if text == "" || text == "0" {
		return 0, true
	}
	if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil && n > 0 && n <= 36500
	}
	age, err := time.ParseDuration(text)
	return age, err == nil && age >= time.Minute
}

// parseBytes reads a size in decimal units.
func parseBytes(text string) (size int64, ok bool) {
	if text == "" || text == "0" {
		return 0, true
	}
	for unit, factor := range map[string]int64{"MB": 1e6, "GB": 1e9, "TB": 1e12} {
		if number, found := strings.CutSuffix(text, unit); found {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
			return n * factor, err == nil && n*factor >= 100e6
		}
	}
	return 0, false
}

func readLogLevel(c *cli.Command) (level slog.Level, err error) {
	text := c.String("log-level")
	if text != "" && level.UnmarshalText([]byte(text)) != nil {
		return level, badSetting("PENSTOCK_LOG_LEVEL", text, "is none of debug, info, warn, error", "info")
	}
	return level, nil
}

// readKey finds the key that encrypts stored secrets. On SQLite a missing one is made: the data
// directory is this process's own. Several processes on PostgreSQL must be given the same one.
func readKey(text, file string, s settings) ([]byte, error) {
	switch {
	case text != "" && file != "":
		return nil, errors.New("PENSTOCK_SECRET_KEY and PENSTOCK_SECRET_KEY_FILE are both set; keep one")
	case text != "":
		key, err := seal.ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("PENSTOCK_SECRET_KEY: %w", err)
		}
		return key, nil
	case file != "":
		return readKeyFile(file, "PENSTOCK_SECRET_KEY_FILE")
	case !strings.HasPrefix(s.databaseURL, "sqlite:"):
		return nil, errors.New("PENSTOCK_SECRET_KEY_FILE or PENSTOCK_SECRET_KEY must be set with PostgreSQL: every process needs the same key. Make one with: openssl rand -base64 32")
	}
	file = filepath.Join(s.dataDir, "secret.key")
	key, err := readKeyFile(file, "secret key")
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := os.MkdirAll(s.dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("PENSTOCK_DATA_DIR: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		return readKeyFile(file, "secret key")
	}
	if err != nil {
		return nil, fmt.Errorf("make the secret key: %w", err)
	}
	made := seal.NewKey()
	_, err = f.WriteString(made + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("make the secret key: %w", err)
	}
	return seal.ParseKey(made)
}

func readKeyFile(file, setting string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		slog.Warn("other users of this machine can read the secret key; take the right away with chmod 600", "file", file)
	}
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	key, err := seal.ParseKey(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", setting, file, err)
	}
	return key, nil
}

func isDatabase(url string) bool {
	scheme, _, _ := strings.Cut(url, ":")
	return scheme == "sqlite" || strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
