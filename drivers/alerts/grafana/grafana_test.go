package grafana_test

import (
	"testing"

	"penstock/drivers/alerts/alertstest"
	"penstock/drivers/alerts/grafana"
)

func TestSource(t *testing.T) {
	t.Parallel()
	alertstest.Run(t, grafana.Kind())
}

func FuzzParse(f *testing.F) { alertstest.Fuzz(f, grafana.Kind()) }
