package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// link is a network of its own, with a host at its far end, that can be cut.
type link struct{ namespace, near, far string }

// newLink makes a namespace and a pair of connected interfaces, one on each side.
func newLink(ctx context.Context, w *world) (*link, error) {
	if os.Getuid() != 0 {
		return nil, notRun("only root can make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, notRun("the program ip is not installed")
	}
	l := &link{namespace: fmt.Sprintf("penstock-%d", os.Getpid()), far: "10.213.77.2"}
	l.near = fmt.Sprintf("psk%d", os.Getpid()%100000)
	inside := fmt.Sprintf("psi%d", os.Getpid()%100000)
	if err := ip(ctx, "netns", "add", l.namespace); err != nil {
		return nil, notRun("this machine does not let a network namespace be made: " + err.Error())
	}
	w.atEnd(func() error {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(ip(ctx, "link", "del", l.near), ip(ctx, "netns", "del", l.namespace))
	})
	for _, args := range [][]string{
		{"link", "add", l.near, "type", "veth", "peer", "name", inside},
		{"link", "set", inside, "netns", l.namespace},
		{"addr", "add", "10.213.77.1/30", "dev", l.near},
		{"link", "set", l.near, "up"},
		{"-n", l.namespace, "addr", "add", l.far + "/30", "dev", inside},
		{"-n", l.namespace, "link", "set", inside, "up"},
		{"-n", l.namespace, "link", "set", "lo", "up"},
	} {
		if err := ip(ctx, args...); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

// inside starts a program on the far host.
func (l *link) inside() []string { return []string{"ip", "netns", "exec", l.namespace} }

// set takes the far host's end of the cable "down" or "up": nothing answers, nothing is refused.
func (l *link) set(ctx context.Context, state string) error {
	return ip(ctx, "-n", l.namespace, "link", "set", "psi"+l.near[3:], state)
}
