//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// reachWithin bounds one try. What is denied is refused at once, or never answered.
const reachWithin = 2 * time.Second

// reach tries targets NAME=tcp:ADDRESS or NAME=udp:ADDRESS and prints a line for each,
// as run does. A target that answers was reached.
func reach(targets []string) {
	results := make([]string, len(targets))
	var trying sync.WaitGroup
	for i, t := range targets {
		trying.Go(func() {
			name, where, _ := strings.Cut(t, "=")
			network, address, _ := strings.Cut(where, ":")
			verdict, why := "ok", ""
			if err := answers(network, address); err != nil {
				verdict, why = "denied", err.Error()
			}
			results[i] = fmt.Sprintf("%s\t%s\t%s", name, verdict, why)
		})
	}
	trying.Wait()
	for _, r := range results {
		fmt.Println(r)
	}
}

func answers(network, address string) error {
	if network == "udp" {
		return echoes(address)
	}
	ctx, cancel := context.WithTimeout(context.Background(), reachWithin)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return c.Close()
}

// echoes sends a datagram and waits for any to come back; whoever answers for a group or
// for all has an address of its own.
func echoes(address string) error {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return err
	}
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(reachWithin)); err != nil {
		return err
	}
	if _, err := c.WriteToUDP([]byte("anybody?"), to); err != nil {
		return err
	}
	_, _, err = c.ReadFromUDP(make([]byte, 64))
	return err
}
