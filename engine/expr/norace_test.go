//go:build !race

package expr_test

const slowdown = 1
