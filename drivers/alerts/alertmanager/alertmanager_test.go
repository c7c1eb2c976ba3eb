package alertmanager_test

import (
	"testing"

	"penstock/drivers/alerts/alertmanager"
	"penstock/drivers/alerts/alertstest"
)

func TestSource(t *testing.T) {
	t.Parallel()
	alertstest.Run(t, alertmanager.Kind())
}

func FuzzParse(f *testing.F) { alertstest.Fuzz(f, alertmanager.Kind()) }
