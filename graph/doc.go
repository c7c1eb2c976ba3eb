// Package graph is the GraphQL API at /graphql: the schema (one .graphqls file per topic), resolvers
// that call the engine and the store, and transports of its own: HTTP, Server-Sent Events and
// WebSocket (graphql-transport-ws).
//
// Order of a request: transport (size, media types, origin) → credential → tokens, parse, validation →
// [Limits] → the permission matrix of package auth, per root field → resolvers. Errors leave through
// one presenter; expected problems of mutations are userErrors of the payload instead.
//
// generated.go and models_gen.go are made by `go tool gqlgen generate`, schema.graphql by
// `go test ./graph -run TestSchemaFile -update`.
package graph
