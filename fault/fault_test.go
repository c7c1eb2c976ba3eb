package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"penstock/fault"
)

func TestOf(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp 10.0.0.1: refused")
	t.Run("keeps a marked error behind wrapping", func(t *testing.T) {
		err := fmt.Errorf("save: %w", fault.Wrap(cause, fault.Conflict, "Name is taken."))
		got := fault.Of(err)
		if got.Code != fault.Conflict || got.Message != "Name is taken." || !errors.Is(got, cause) {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("hides the text of an unmarked error", func(t *testing.T) {
		if got := fault.Of(cause); got.Code != fault.Internal || got.Message != "internal error" {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("nil stays nil", func(t *testing.T) {
		if fault.Of(nil) != nil {
			t.Fatal("not nil")
		}
	})
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("send: %w", fault.Retry(errors.New("503"), 7*time.Second))
	if after, ok := fault.Retryable(err); !ok || after != 7*time.Second {
		t.Fatalf("got %v %v", after, ok)
	}
	if _, ok := fault.Retryable(errors.New("400")); ok {
		t.Fatal("an unmarked error is final")
	}
}
