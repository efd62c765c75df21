package gpu

import "slices"

// islandsOf says which island of NVLink a UUID belongs to, by the least UUID in it.
type islandsOf map[string]string

// of is a device's island; "" when no link leads from it.
func (i islandsOf) of(d Device) string { return i[d.UUID] }

// islands finds what is linked, directly or through others. Links also count
// through devices that are not in the list: who holds a card does not change
// where its cables go.
func islands(devices []Device) islandsOf {
	place := islandsOf{}
	for _, d := range devices {
		for _, far := range d.NVLink {
			place.join(d.UUID, far)
		}
	}
	for uuid := range place {
		place[uuid] = place.root(uuid)
	}
	return place
}

func (i islandsOf) root(uuid string) string {
	for {
		up, ok := i[uuid]
		if !ok || up == uuid {
			return uuid
		}
		uuid = up
	}
}

func (i islandsOf) join(a, b string) {
	a, b = i.root(a), i.root(b)
	least := min(a, b)
	i[a], i[b] = least, least
}

// Islands numbers the islands of NVLink from 1 on, in the order of the devices;
// 0 is a device without a link.
func Islands(devices []Device) []int {
	place := islands(devices)
	var order []string
	out := make([]int, len(devices))
	for n, d := range devices {
		at := place.of(d)
		if at == "" {
			continue
		}
		if !slices.Contains(order, at) {
			order = append(order, at)
		}
		out[n] = slices.Index(order, at) + 1
	}
	return out
}

// largestIsland is how many devices at most are linked; 1 when none are.
func largestIsland(devices []Device) int {
	place := islands(devices)
	most := min(1, len(devices))
	for _, g := range split(devices, place.of) {
		if place.of(g[0]) != "" {
			most = max(most, len(g))
		}
	}
	return most
}
