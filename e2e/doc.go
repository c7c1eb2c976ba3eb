// Package e2e tests the built binary from outside, with real stores and the real Alertmanager. Faults
// are injected by the program in penstock/faults. The tests have the build tag e2e, because they take a minute and build programs:
//
//	go tool -modfile=tools.mod task test:e2e
package e2e
