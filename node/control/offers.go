package control

import (
	"cmp"
	"slices"

	"github.com/rigmesh/rigmesh/gpu"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// pickOffers gives the offers with at least one device that fits the request,
// cheapest first, and among equals those of the lower peer id.
func pickOffers(seen []*controlv1.SeenOffer, req *controlv1.ListOffersRequest) []*controlv1.SeenOffer {
	type priced struct {
		offer *controlv1.SeenOffer
		price uint64
	}
	var fit []priced
	for _, o := range seen {
		if price, ok := cheapest(o.GetOffer(), req); ok {
			fit = append(fit, priced{o, price})
		}
	}
	slices.SortStableFunc(fit, func(a, b priced) int {
		return cmp.Or(cmp.Compare(a.price, b.price), cmp.Compare(a.offer.PeerId, b.offer.PeerId))
	})
	out := make([]*controlv1.SeenOffer, len(fit))
	for i, p := range fit {
		out[i] = p.offer
	}
	return out
}

// cheapest gives the lowest price of an offer's devices that fit the request.
func cheapest(o *marketv1.Offer, req *controlv1.ListOffersRequest) (price uint64, ok bool) {
	for _, d := range o.GetDevices() {
		fits := gpu.Holds(d.VramBytes, req.VramBytes) &&
			(req.Model == "" || d.Model == req.Model) &&
			(req.MaxPrice == 0 || d.Price <= req.MaxPrice)
		if fits && (!ok || d.Price < price) {
			price, ok = d.Price, true
		}
	}
	return price, ok
}
