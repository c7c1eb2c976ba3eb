package graph

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"
)

const heldLimit = 4 << 10

// heldConn is the connection of a socket, whose messages can be held back until the next one: events that were committed
// together leave with one system call instead of one each, which is most of what an event costs.
type heldConn struct {
	net.Conn

	patience time.Duration // for the other side to take what is sent

	mu      sync.Mutex
	holding bool
	held    []byte
}

// hold says whether what is written from now on waits for more.
func (c *heldConn) hold(holding bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = holding
}

func (c *heldConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holding && len(c.held)+len(p) <= heldLimit {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return len(p), c.send(p)
}

// release sends what is held.
func (c *heldConn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = false
	if len(c.held) > 0 {
		_ = c.send(nil) // the read loop finds out
	}
}

// send closes the connection when the other side does not take it in time: what came after half a message could not be read.
func (c *heldConn) send(p []byte) error {
	if len(c.held) > 0 {
		c.held = append(c.held, p...)
		p = c.held
		c.held = c.held[:0]
	}
	if err := c.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
		return err
	}
	_, err := c.Conn.Write(p)
	if err != nil {
		_ = c.Close()
	}
	return err
}

// holdingWriter hands the upgrade a connection that can hold messages.
type holdingWriter struct {
	http.ResponseWriter
	patience time.Duration
	conn     *heldConn
}

func (w *holdingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.conn = &heldConn{Conn: conn, patience: w.patience}
	buffers.Writer.Reset(w.conn)
	return w.conn, buffers, nil
}
