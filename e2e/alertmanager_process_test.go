//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"penstock/e2e/harness"
)

const (
	alertmanagerModule  = "github.com/prometheus/alertmanager"
	alertmanagerVersion = "v0.34.2"
)

// buildAlertmanager builds the real Alertmanager from its module, once for all tests. The module comes
// without the pages of its user interface, which a compiler for them makes; one empty page stands in.
var buildAlertmanager = sync.OnceValues(func() (string, error) {
	var module struct{ Dir, Error string }
	out, err := exec.Command("go", "mod", "download", "-json", alertmanagerModule+"@"+alertmanagerVersion).Output()
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil || module.Dir == "" {
		return "", fmt.Errorf("download %s: %w: %s", alertmanagerModule, err, module.Error)
	}
	dir := filepath.Dir(binary)
	source, page := filepath.Join(dir, "alertmanager-source"), filepath.Join("ui", "app", "dist", "index.html")
	if err := os.CopyFS(source, os.DirFS(module.Dir)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(source, page)), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(source, page), nil, 0o644); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "alertmanager")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/alertmanager")
	// Its own go.mod and go.sum, not ours and not changed.
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly -buildvcs=false")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build Alertmanager: %w\n%s", err, text)
	}
	return path, nil
})

// startAlertmanager starts one that groups by alert name, waits 200 ms for the rest of a group and
// repeats what still fires after a second. It sends to the webhook with the token.
func startAlertmanager(t *testing.T, webhook, token string) *harness.Client {
	t.Helper()
	program, err := buildAlertmanager()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf(`
route:
  receiver: penstock
  group_by: [alertname]
  group_wait: 200ms
  group_interval: 500ms
  repeat_interval: 1s
receivers:
  - name: penstock
    webhook_configs:
      - url: %s
        send_resolved: true
        max_alerts: 0
        http_config:
          authorization:
            type: Bearer
            credentials_file: token
`, webhook)
	for name, text := range map[string]string{"alertmanager.yml": config, "token": token} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--config.file=alertmanager.yml", "--storage.path=data",
		"--web.listen-address="+address, "--cluster.listen-address=", "--log.level=warn")
	process.Dir, process.Stdout, process.Stderr = dir, log, log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("log of Alertmanager:\n%s", text)
		}
	})
	c := &harness.Client{URL: "http://" + address, HTTP: &http.Client{Timeout: 10 * time.Second}}
	eventually(t, "Alertmanager is ready", 20*time.Second, func() bool {
		return c.Call(t.Context(), http.MethodGet, "/-/ready", nil, nil) == nil
	})
	return c
}
