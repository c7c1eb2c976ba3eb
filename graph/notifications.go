package graph

import (
	"context"

	"penstock/db"
)

func (r *Resolver) notification(ctx context.Context, id string) (*db.NotificationMessage, error) {
	m, err := r.store.Notification(ctx, id)
	if err == nil {
		loadersOf(ctx).announceNotifications([]db.NotificationMessage{*m})
	}
	return m, err
}

func (r *Resolver) notifications(ctx context.Context, f db.NotificationFilter, first *int32, after *string, last *int32, before *string, orderBy *Order) (*Connection[db.NotificationMessage], error) {
	var err error
	if f.Page, err = r.page(notificationList, first, after, last, before, orderBy); err != nil {
		return nil, err
	}
	c, err := r.store.Notifications(ctx, f)
	loadersOf(ctx).announceNotifications(c.Items)
	return connect(notificationList, f.Page, c, func(ctx context.Context) (int, error) { return r.store.CountNotifications(ctx, f) }), err
}
