package main

import (
	"penstock/drivers/ai"
	"penstock/drivers/ai/claude"
	"penstock/drivers/ai/local"
	"penstock/drivers/ai/openai"
	"penstock/drivers/alerts"
	"penstock/drivers/alerts/alertmanager"
	alertsgeneric "penstock/drivers/alerts/generic"
	"penstock/drivers/alerts/grafana"
	"penstock/drivers/notify"
	"penstock/drivers/notify/console"
	"penstock/drivers/notify/email"
	"penstock/drivers/notify/generic"
	"penstock/drivers/notify/pagerduty"
	"penstock/drivers/notify/slack"

	"penstock/drivers"
)

// sources are what alerts come from, in the order of detection.
func sources() *alerts.Registry {
	return drivers.NewRegistry(alertmanager.Kind(), grafana.Kind(), alertsgeneric.Kind())
}

// notifiers are the ways to tell people.
func notifiers(deps notify.Deps) *notify.Registry {
	return drivers.NewRegistry(slack.Kind(deps), email.Kind(deps), pagerduty.Kind(deps), generic.Kind(deps), console.Kind(deps))
}

// providers analyse.
func providers(deps ai.Deps) *ai.Registry {
	return drivers.NewRegistry(local.Kind(deps), openai.Kind(deps), claude.Kind(deps))
}
