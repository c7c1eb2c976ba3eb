package notify

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"penstock/fault"
)

// Deps is what drivers are given by the program; a driver reaches the world through nothing else.
type Deps struct {
	HTTP    *http.Client                                                      // guarded, follows no redirects
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error) // guarded
	RootCAs *x509.CertPool                                                    // for TLS over Dial; nil: the system's
	Out     io.Writer                                                         // where console writes
	Now     func() time.Time
}

// NotReady is the error of a Send for which settings are missing. It is final: a person must act.
func NotReady(title string, missing []string) error {
	return fault.New(fault.Unprocessable, "%s cannot send, these settings are missing: %s. Add them to the channel, or to driver_config of the notify node.", title, strings.Join(missing, ", "))
}
