//go:build linux

package egress

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

// Sets of the table. A link is named by its end on the host.
const (
	linksSet   = "links"    // every task's
	publicSet  = "public"   // of those that may reach all of the public internet
	sourceSet4 = "source4"  // with the one address that it sends from
	sourceSet6 = "source6"  //
	allowSet4  = "allow4"   // with the addresses that its names resolved to
	allowSet6  = "allow6"   //
	deniedSet4 = "denied4"  // what is not on the public internet
	deniedSet6 = "denied6"  //
	mailSet    = "mail"     // ports of mail servers
	uplinkSet  = "uplink"   // interfaces that forward because we told them to
	upSet      = "up"       // how much each task sends,
	downSet    = "down"     // and receives
	openSet    = "openings" // and how often it connects
)

// allowedFor is how long an address may be used after its name was asked for; a
// connection that is open by then stays.
const allowedFor = time.Hour

// openingsRate is how many connections a task may open in a second.
const openingsRate = 200

var (
	linkAddr4 = nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr)
	linkAddr6 = nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIP6Addr)
)

func (g *Gate) table() *nftables.Table {
	return &nftables.Table{Name: g.name, Family: nftables.TableFamilyINet}
}

func (g *Gate) hasTable(c *nftables.Conn) (bool, error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, err
	}
	for _, t := range tables {
		if t.Name == g.name {
			return true, nil
		}
	}
	return false, nil
}

// makeTable makes the table unless it is there, with all that is connected. All of it comes
// at once or not at all.
func (g *Gate) makeTable() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	there, err := g.hasTable(c)
	if err != nil {
		return err
	}
	if there {
		return g.learnUplinks(c)
	}
	t := c.AddTable(g.table())
	sets := g.sets()
	for _, s := range sets {
		if err := c.AddSet(s.set, s.elements); err != nil {
			return fmt.Errorf("set %s: %w", s.set.Name, err)
		}
	}
	g.chains(c, t)
	for _, s := range g.servers {
		if err := g.enter(c, s.link, s.policy); err != nil {
			return err
		}
	}
	for name := range g.uplinks {
		if err := c.SetAddElements(g.set(uplinkSet), []nftables.SetElement{{Key: linkKey(name)}}); err != nil {
			return err
		}
	}
	return c.Flush()
}

type filled struct {
	set      *nftables.Set
	elements []nftables.SetElement
}

// sets are those of the table, with what is always in them.
func (g *Gate) sets() []filled {
	t := g.table()
	plain := func(name string, key nftables.SetDatatype) *nftables.Set {
		return &nftables.Set{Table: t, Name: name, KeyType: key, Concatenation: key == linkAddr4 || key == linkAddr6}
	}
	timed := func(name string, key nftables.SetDatatype) *nftables.Set {
		s := plain(name, key)
		s.HasTimeout, s.Timeout = true, allowedFor
		return s
	}
	ranges := func(name string, key nftables.SetDatatype) *nftables.Set {
		s := plain(name, key)
		s.Interval = true
		return s
	}
	metered := func(name string) *nftables.Set {
		s := plain(name, nftables.TypeIFName)
		s.Dynamic, s.Size = true, 65536
		return s
	}
	var ports []nftables.SetElement
	for _, p := range []uint16{25, 465, 587} {
		ports = append(ports, nftables.SetElement{Key: binaryutil.BigEndian.PutUint16(p)})
	}
	return []filled{
		{plain(linksSet, nftables.TypeIFName), nil}, {plain(publicSet, nftables.TypeIFName), nil},
		{plain(uplinkSet, nftables.TypeIFName), nil},
		{plain(sourceSet4, linkAddr4), nil}, {plain(sourceSet6, linkAddr6), nil},
		{timed(allowSet4, linkAddr4), nil}, {timed(allowSet6, linkAddr6), nil},
		{ranges(deniedSet4, nftables.TypeIPAddr), deniedRanges(netip.Addr.Is4)},
		{ranges(deniedSet6, nftables.TypeIP6Addr), deniedRanges(netip.Addr.Is6)},
		{plain(mailSet, nftables.TypeInetService), ports},
		{metered(upSet), nil}, {metered(downSet), nil}, {metered(openSet), nil},
	}
}

// deniedRanges are the prefixes of one kind of address as nftables has ranges: each
// begins at an address and ends before another; the last may have no end.
func deniedRanges(is func(netip.Addr) bool) (elements []nftables.SetElement) {
	ends := make(map[netip.Addr]bool)
	for _, p := range publicnet.Denied() {
		if is(p.Addr()) {
			ends[after(p)] = true
		}
	}
	for _, p := range publicnet.Denied() {
		if !is(p.Addr()) {
			continue
		}
		if ends[p.Addr()] { // goes on where another ends
			delete(ends, p.Addr())
			continue
		}
		elements = append(elements, nftables.SetElement{Key: p.Addr().AsSlice()})
	}
	for end := range ends {
		if end.IsValid() {
			elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	// In order, or the kernel takes some for overlapping.
	slices.SortFunc(elements, func(a, b nftables.SetElement) int { return bytes.Compare(a.Key, b.Key) })
	return elements
}

// after is the first address behind a prefix; none behind the last.
func after(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := range b {
		if ones := p.Bits() - 8*i; ones < 8 {
			b[i] |= 0xff >> max(ones, 0)
		}
	}
	last, _ := netip.AddrFromSlice(b)
	return last.Next()
}

// linkKey is an interface's name as sets have it.
func linkKey(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func element(l link, addr netip.Addr) []nftables.SetElement {
	return []nftables.SetElement{{Key: append(linkKey(l.name), addr.AsSlice()...)}}
}

// admit puts a link into the sets.
func (g *Gate) admit(l link, policy runtime.Egress) error {
	return g.change(func(c *nftables.Conn) error { return g.enter(c, l, policy) })
}

func (g *Gate) enter(c *nftables.Conn, l link, policy runtime.Egress) error {
	key := []nftables.SetElement{{Key: linkKey(l.name)}}
	err := errors.Join(c.SetAddElements(g.set(linksSet), key),
		c.SetAddElements(g.set(sourceSet4), element(l, l.task[0].Addr())),
		c.SetAddElements(g.set(sourceSet6), element(l, l.task[1].Addr())))
	if policy.Public {
		err = errors.Join(err, c.SetAddElements(g.set(publicSet), key))
	}
	return err
}

// allow lets a link reach an address for a while.
func (g *Gate) allow(l link, addr netip.Addr) error {
	name := allowSet4
	if addr.Is6() {
		name = allowSet6
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	// An element that is there would keep its old time: it goes first, if there is one.
	_ = g.change(func(c *nftables.Conn) error { return c.SetDeleteElements(g.set(name), element(l, addr)) })
	return g.change(func(c *nftables.Conn) error { return c.SetAddElements(g.set(name), element(l, addr)) })
}

// expel takes a link out of all sets.
func (g *Gate) expel(l link) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	if there, err := g.hasTable(c); !there || err != nil {
		return err
	}
	key := linkKey(l.name)
	for _, name := range []string{publicSet, allowSet4, allowSet6, sourceSet4, sourceSet6, upSet, downSet, openSet, linksSet} {
		elements, err := c.GetSetElements(g.set(name))
		if err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
		var own []nftables.SetElement
		for _, e := range elements {
			if len(e.Key) >= len(key) && string(e.Key[:len(key)]) == string(key) {
				own = append(own, nftables.SetElement{Key: e.Key})
			}
		}
		if len(own) == 0 {
			continue
		}
		if err := g.change(func(c *nftables.Conn) error { return c.SetDeleteElements(g.set(name), own) }); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// set names one of the table's sets.
func (g *Gate) set(name string) *nftables.Set {
	for _, s := range g.sets() {
		if s.set.Name == name {
			return s.set
		}
	}
	panic("no set " + name)
}

func (g *Gate) change(f func(*nftables.Conn) error) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	if err := f(c); err != nil {
		return err
	}
	return c.Flush()
}
