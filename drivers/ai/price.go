package ai

import "regexp"

// Price is what a million tokens cost, in US dollars.
type Price struct{ Input, Output float64 }

// PriceList holds the list prices of a vendor's models. A model that is not in it costs 0 unless
// the definition says otherwise: no figure is better than an invented one.
type PriceList map[string]Price

var dated = regexp.MustCompile(`-20\d{2}-?\d{2}-?\d{2}$`)

// Of returns the price of a model, also of a dated snapshot of it; input and output, if set, win.
func (l PriceList) Of(model string, input, output *float64) Price {
	p := l[dated.ReplaceAllString(model, "")]
	if input != nil {
		p.Input = *input
	}
	if output != nil {
		p.Output = *output
	}
	return p
}

func (p Price) of(u Usage) float64 {
	return (float64(u.InputTokens)*p.Input + float64(u.OutputTokens)*p.Output) / 1e6
}
