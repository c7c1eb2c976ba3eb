package generic_test

import (
	"testing"

	"penstock/drivers/alerts/alertstest"
	"penstock/drivers/alerts/generic"
)

func TestSource(t *testing.T) {
	t.Parallel()
	alertstest.Run(t, generic.Kind())
}

func FuzzParse(f *testing.F) { alertstest.Fuzz(f, generic.Kind()) }
