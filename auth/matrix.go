package auth

import "maps"

// Matrix returns a copy of the table, for listings and tests.
func Matrix() map[string]Scope { return maps.Clone(matrix) }

// matrix is the one place that says which scope a route (its pattern), a GraphQL root field or a field
// that leads to other records ("Type.field") needs. The server refuses to start with a route that is not in it.
var matrix = map[string]Scope{
	// Health and static files.
	"GET /healthz": Public,
	"GET /readyz":  Public,
	"GET /":        Public, // leads to the admin

	// Alerts in.
	"POST /orchestration/pipeline/":      Ingest,
	"POST /orchestration/pipeline/sync/": Ingest,
	"POST /webhooks/{source}/":           Ingest,

	// What came in, and why it did or did not start something.
	"GET /orchestration/deliveries/":              Read,
	"GET /orchestration/deliveries/{id}/":         Read,
	"POST /orchestration/deliveries/{id}/replay/": Operate,
	"GET /orchestration/why/{id}/":                Read,

	// Definitions.
	"GET /orchestration/definitions/":                  Read,
	"GET /orchestration/definitions/{name}/":           Read,
	"PUT /orchestration/definitions/{name}/":           Edit,
	"DELETE /orchestration/definitions/{name}/":        Edit,
	"POST /orchestration/definitions/{name}/validate/": Read,
	"POST /orchestration/definitions/{name}/execute/":  Operate,
	"POST /orchestration/validate/":                    Read,
	"GET /schemas/pipeline-1.0.json":                   Authenticated,
	"GET /orchestration/schedules/":                    Read,

	// Runs.
	"GET /orchestration/pipelines/":                 Read,
	"GET /orchestration/pipeline/{run_id}/":         Read,
	"POST /orchestration/pipeline/{run_id}/cancel/": Operate,
	"POST /orchestration/pipeline/{run_id}/resume/": Operate,
	"POST /orchestration/pipeline/{run_id}/rerun/":  Operate,

	// Channels.
	"GET /orchestration/channels/":              Read,
	"GET /orchestration/channels/{name}/":       Read,
	"PUT /orchestration/channels/{name}/":       Edit,
	"DELETE /orchestration/channels/{name}/":    Edit,
	"POST /orchestration/channels/{name}/test/": Edit,

	// Notifications.
	"GET /orchestration/notifications/":      Read,
	"GET /orchestration/notifications/{id}/": Read,

	// Sources.
	"GET /orchestration/sources/":           Read,
	"GET /orchestration/sources/{name}/":    Read,
	"PUT /orchestration/sources/{name}/":    Edit,
	"DELETE /orchestration/sources/{name}/": Edit,

	// What is going on.
	"GET /orchestration/status/": Read,

	// API tokens.
	"GET /orchestration/tokens/":           Admin,
	"POST /orchestration/tokens/":          Admin,
	"DELETE /orchestration/tokens/{name}/": Admin,

	// GraphQL. A WebSocket may bring its credential in its first message, so the upgrade is open and
	// every operation is checked; any other GET is treated like the POST.
	"POST /graphql/":         Authenticated,
	"GET /graphql/":          Public,
	"GET /playground/":       Authenticated,
	"GET /playground/{file}": Authenticated,

	// Fields of GraphQL, one per root field.
	"Query.viewer":       Authenticated,
	"Query.node":         Read,
	"Query.nodes":        Read,
	"Query.serverStatus": Read,
	"Query.nodeTypes":    Read,

	"Query.pipelineDefinition":              Read,
	"Query.pipelineDefinitions":             Read,
	"Query.schedules":                       Read,
	"Mutation.createPipelineDefinition":     Edit,
	"Mutation.updatePipelineDefinition":     Edit,
	"Mutation.deletePipelineDefinition":     Edit,
	"Mutation.validatePipelineDefinition":   Read,
	"Mutation.executePipelineDefinition":    Operate,
	"Query.pipelineDefinitionDiff":          Read,
	"Mutation.rollBackPipelineDefinition":   Edit,
	"Mutation.activatePipelineDefinition":   Edit,
	"Mutation.deactivatePipelineDefinition": Edit,

	"Query.run":                Read,
	"Query.runs":               Read,
	"Mutation.cancelRun":       Operate,
	"Mutation.retryRun":        Operate,
	"Mutation.rerunRun":        Operate,
	"Subscription.runProgress": Read,
	"Subscription.runsChanged": Read,

	"Query.notification":            Read,
	"Query.notifications":           Read,
	"Query.incident":                Read,
	"Query.incidents":               Read,
	"Query.alerts":                  Read,
	"Query.delivery":                Read,
	"Query.deliveries":              Read,
	"Query.decisions":               Read,
	"Query.why":                     Read,
	"Mutation.replayDelivery":       Operate,
	"Mutation.acknowledgeIncident":  Operate,
	"Mutation.resolveIncident":      Operate,
	"Subscription.incidentsChanged": Read,
	"Mutation.closeIncident":        Operate,
	"Mutation.reopenIncident":       Operate,
	"Mutation.addIncidentNote":      Operate,

	"Query.channel":          Read,
	"Query.channels":         Read,
	"Query.source":           Read,
	"Query.sources":          Read,
	"Mutation.createSource":  Edit,
	"Mutation.updateSource":  Edit,
	"Mutation.deleteSource":  Edit,
	"Mutation.createChannel": Edit,
	"Mutation.updateChannel": Edit,
	"Mutation.deleteChannel": Edit,
	"Mutation.testChannel":   Edit,

	"Query.users":                Admin,
	"Query.tokens":               Admin,
	"Mutation.createToken":       Admin,
	"Mutation.revokeToken":       Admin,
	"Mutation.createUser":        Admin,
	"Mutation.setUserRole":       Admin,
	"Mutation.resetUserPassword": Admin,
	"Mutation.disableUser":       Admin,
	"Mutation.enableUser":        Admin,

	// Fields that lead from one record to others: what a mutation changed may be read by whoever may
	// change it, what hangs on it may not.
	"PipelineDefinition.versions": Read,
	"PipelineDefinition.runs":     Read,
	"PipelineRun.definition":      Read,
	"PipelineRun.incident":        Read,
	"PipelineRun.parentRun":       Read,
	"PipelineRun.delivery":        Read,
	"Delivery.replayOf":           Read,
	"Delivery.body":               Read,
	"Delivery.alerts":             Read,
	"Delivery.decisions":          Read,
	"Decision.runs":               Read,
	"Decision.incident":           Read,
	"Decision.delivery":           Read,
	"Incident.decisions":          Read,
	"PipelineRun.childRuns":       Read,
	"PipelineRun.rerunOf":         Read,
	"Incident.alerts":             Read,
	"Incident.notifications":      Read,
	"PipelineRun.notifications":   Read,
	"Notification.run":            Read,
	"Notification.incident":       Read,
	"Incident.runs":               Read,
	"Incident.timeline":           Read,
	"Alert.incident":              Read,

	"PipelineDefinition.schedules": Read,
	"Schedule.definition":          Read,
	"Schedule.lastRun":             Read,

	// Signing in and out.
	"GET /login":   Public,
	"POST /login":  Public,
	"POST /logout": Authenticated,
	"GET /setup":   Public, // works with the one-time token only
	"POST /setup":  Public,

	// Pages.
	"GET /assets/{file}":                          Public,
	"GET /admin/":                                 Read,
	"GET /admin/incidents/":                       Read,
	"GET /admin/incidents/{id}/":                  Read,
	"POST /admin/incidents/bulk":                  Operate,
	"POST /admin/incidents/{id}/acknowledge":      Operate,
	"POST /admin/incidents/{id}/resolve":          Operate,
	"POST /admin/incidents/{id}/close":            Operate,
	"POST /admin/incidents/{id}/reopen":           Operate,
	"POST /admin/incidents/{id}/note":             Operate,
	"GET /admin/alerts/":                          Read,
	"GET /admin/alerts/{id}/":                     Read,
	"GET /admin/deliveries/":                      Read,
	"GET /admin/deliveries/{id}/":                 Read,
	"POST /admin/deliveries/{id}/replay":          Operate,
	"GET /admin/search":                           Read,
	"GET /admin/notifications/":                   Read,
	"GET /admin/runs/":                            Read,
	"GET /admin/runs/{run_id}/":                   Read,
	"GET /admin/runs/{run_id}/live":               Read,
	"GET /admin/runs/{run_id}/json":               Read,
	"POST /admin/runs/bulk":                       Operate,
	"POST /admin/runs/{run_id}/cancel":            Operate,
	"POST /admin/runs/{run_id}/retry":             Operate,
	"POST /admin/runs/{run_id}/rerun":             Operate,
	"GET /admin/definitions/":                     Read,
	"GET /admin/definitions/new":                  Edit,
	"POST /admin/definitions/new":                 Edit,
	"GET /admin/definitions/{name}/":              Read,
	"POST /admin/definitions/{name}/":             Edit,
	"POST /admin/definitions/{name}/delete":       Edit,
	"GET /admin/definitions/{name}/history":       Read,
	"POST /admin/definitions/{name}/restore":      Edit,
	"GET /admin/definitions/{name}/execute":       Operate,
	"POST /admin/definitions/{name}/execute":      Operate,
	"POST /admin/validate":                        Read,
	"POST /admin/draft":                           Read,
	"POST /admin/dry-run":                         Edit,
	"POST /admin/try-match":                       Read,
	"POST /admin/try-schedule":                    Read,
	"GET /admin/settings/":                        Read,
	"POST /admin/settings/theme":                  Authenticated,
	"POST /admin/settings/channels/{name}/test":   Edit,
	"GET /admin/settings/channels/new":            Edit,
	"POST /admin/settings/channels/new":           Edit,
	"GET /admin/settings/channels/{name}/":        Edit,
	"POST /admin/settings/channels/{name}/":       Edit,
	"POST /admin/settings/channels/{name}/delete": Edit,
	"GET /admin/settings/sources/new":             Edit,
	"POST /admin/settings/sources/new":            Edit,
	"GET /admin/settings/sources/{name}/":         Read,
	"POST /admin/settings/sources/{name}/":        Edit,
	"POST /admin/settings/sources/{name}/delete":  Edit,
	"GET /admin/settings/providers/":              Read,
	"POST /admin/settings/providers/{name}/test":  Edit,
	"GET /admin/settings/schedules/":              Read,
	"GET /admin/settings/tokens/":                 Admin,
	"POST /admin/settings/tokens/":                Admin,
	"POST /admin/settings/tokens/{name}/revoke":   Admin,
	"GET /admin/settings/users/":                  Admin,
	"POST /admin/settings/users/":                 Admin,
	"POST /admin/settings/users/{name}/role":      Admin,
	"POST /admin/settings/users/{name}/disable":   Admin,
	"POST /admin/settings/users/{name}/enable":    Admin,
	"POST /admin/settings/users/{name}/password":  Admin,
	"GET /admin/settings/account/":                Authenticated,
	"POST /admin/settings/password":               Authenticated,
	"GET /admin/settings/about/":                  Read,
}
