package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/e2e/harness"
)

// cluster is a PostgreSQL server of one case, which may be stopped and killed.
type cluster struct {
	bin, dir string
	url      string
	account  *syscall.Credential // nil: our own; the server refuses to run as root
	settings string
	host     string   // on which it listens
	env      []string // of the server
	through  []string // a program that starts the server, e.g. in a network of its own
}

// postgresPrograms is the directory of the server's programs, the newest version of several.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", notRun("the programs of PostgreSQL are not installed")
	}
	return filepath.Dir(path), nil
}

// newCluster makes and starts a server in the world's directory, or in dir, and points the world at it.
func (w *world) newCluster(ctx context.Context, dir string, change ...func(*cluster)) (*cluster, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	address, err := harness.FreeAddress()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir = filepath.Join(w.dir, "postgres")
	}
	c := &cluster{bin: bin, dir: dir, host: "127.0.0.1"}
	for _, f := range change {
		f(c)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		if c.account, err = postgresAccount(); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(c.account.Uid), int(c.account.Gid)); err != nil {
			return nil, err
		}
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c.settings = fmt.Sprintf("-c listen_addresses=%s -p %s -k %s -c max_connections=200", c.host, port, dir)
	c.url = "postgres://penstock@" + net.JoinHostPort(c.host, port) + "/postgres?sslmode=disable"
	if err := c.run(ctx, "initdb", "-D", c.data(), "-U", "penstock", "-A", "trust", "-E", "UTF8", "--no-locale"); err != nil {
		return nil, err
	}
	if c.host != "127.0.0.1" {
		if err := c.trustEverybody(); err != nil {
			return nil, err
		}
	}
	w.url = c.url
	w.atEnd(func() error { return c.stop(context.WithoutCancel(ctx), "immediate") })
	return c, c.start(ctx)
}

// postgresAccount is the user under which a server is started by root.
func postgresAccount() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
	}
	return nil, notRun("there is no user under which PostgreSQL could run")
}

// trustEverybody lets the world in that is on the other side of a link.
func (c *cluster) trustEverybody() error {
	f, err := os.OpenFile(filepath.Join(c.data(), "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("host all all all trust\n")
	return errors.Join(err, f.Close())
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) run(ctx context.Context, program string, args ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...)
	account := c.account
	if len(c.through) > 0 { // it needs our rights, and takes the account's after
		line := slices.Concat(c.through, []string{"setpriv", fmt.Sprintf("--reuid=%d", account.Uid), fmt.Sprintf("--regid=%d", account.Gid), "--clear-groups"}, command.Args)
		command, account = exec.CommandContext(ctx, line[0], line[1:]...), nil
	}
	command.Dir, command.Env = "/", append([]string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}, c.env...)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
	// To a file: the server would keep a pipe open.
	out, err := os.CreateTemp("", "penstock-faults-")
	if err != nil {
		return err
	}
	defer func() { _ = out.Close(); _ = os.Remove(out.Name()) }()
	command.Stdout, command.Stderr = out, out
	if err := command.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", program, err, text)
	}
	return nil
}

// start starts the server and waits until it answers. What was killed a moment ago may still hold its memory.
func (c *cluster) start(ctx context.Context) error {
	return until(ctx, "PostgreSQL starts", 20*time.Second, func() (bool, error) {
		err := c.run(ctx, "pg_ctl", "-D", c.data(), "-l", filepath.Join(c.dir, "log"), "-w", "-o", c.settings, "start")
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			err = fmt.Errorf("%w\n%s", err, log[max(0, len(log)-2000):])
		}
		return err == nil, err
	})
}

// stop is harmless when the server does not run.
func (c *cluster) stop(ctx context.Context, mode string) error {
	if _, err := os.Stat(filepath.Join(c.data(), "postmaster.pid")); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := c.run(ctx, "pg_ctl", "-D", c.data(), "-m", mode, "-w", "stop"); err != nil && !strings.Contains(err.Error(), "No such process") {
		return err
	}
	return nil
}

// kill ends the server's main process as the kernel does when memory is short; its children notice.
func (c *cluster) kill() error {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// amcheck compares tables and indexes of the world's database.
func (w *world) amcheck(ctx context.Context) error {
	bin, err := postgresPrograms()
	if err != nil {
		return err
	}
	program := filepath.Join(bin, "pg_amcheck")
	if _, err := os.Stat(program); err != nil {
		w.note("I6 was not checked: pg_amcheck is not installed")
		return nil
	}
	config, err := pgx.ParseConfig(w.url)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, program, "--install-missing", "--heapallindexed",
		"-h", config.Host, "-p", strconv.Itoa(int(config.Port)), "-U", config.User, config.Database)
	if out, err := command.CombinedOutput(); err != nil {
		w.problem("I6: pg_amcheck: %v: %s", err, out)
	}
	return nil
}
