package engine

import "context"

// StartDue does at once what the engine does every second: it starts what is scheduled.
func (e *Engine) StartDue(ctx context.Context) error { return e.startDue(ctx) }
