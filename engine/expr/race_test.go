//go:build race

package expr_test

// slowdown is what the race detector costs.
const slowdown = 10
