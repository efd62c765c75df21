//go:build linux

package nat

import (
	"context"
	"fmt"
	"os"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

// Miniupnpd is the program that maps ports on most home routers, where Debian puts it.
const Miniupnpd = "/usr/sbin/miniupnpd"

// mapperRules are tables that miniupnpd writes into. What it maps passes the rules of a
// site's router, which let in whatever was translated.
const mapperRules = `table inet mapper {
chain forward { type filter hook forward priority filter; jump mapped; }
chain mapped {}
chain prerouting { type nat hook prerouting priority dstnat; jump mappedin; }
chain mappedin {}
chain postrouting { type nat hook postrouting priority srcnat; jump mappedout; }
chain mappedout {}
}
`

const mapperConfig = `ext_ifname=out
listening_ip=lan
enable_upnp=yes
secure_mode=yes
uuid=5f2c6d0e-3c3b-4d7e-9a57-2f7a3d1c9b10
upnp_table_name=mapper
upnp_nat_table_name=mapper
upnp_forward_chain=mapped
upnp_nat_chain=mappedin
upnp_nat_postrouting_chain=mappedout
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`

// Mapper has the router of a site forward ports to hosts that ask it to by UPnP.
func (n *Internet) Mapper(site string) error {
	router := n.lab.Namespace(site + "-router")
	if err := run(fmt.Sprintf("nsenter --net=/run/netns/%s nft -f - <<'END'\n%sEND", router, mapperRules)); err != nil {
		return err
	}
	config := n.lab.Path(site + "-router.conf")
	if err := os.WriteFile(config, []byte(mapperConfig), 0o600); err != nil {
		return err
	}
	cmd := n.lab.Command(context.Background(), "-d", "-f", config, "-P", n.lab.Path(site+"-router.miniupnpd"))
	cmd.Path = Miniupnpd
	lab.Enter(router, cmd)
	_, err := n.lab.Launch(site+"-router", cmd)
	return err
}
