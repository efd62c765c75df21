package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/urfave/cli/v2"
)

func statusCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:     "status",
		Usage:    "say what this machine's node does",
		Category: categoryAll,
		Description: "Says how the node is reached, how it reaches its peers, and what troubles it.\n\n" +
			examples("rigmesh status", "rigmesh status --json | jq -r '.addresses[0]'", "rigmesh status --json | jq '.reach.peers[] | select(.way == \"relayed\")'"),
		Flags:  []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error { return status(c, k) },
	}, arguments{0, 0})
}

func status(c *cli.Context, k console) error {
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	st, err := client.Status(c.Context)
	if err != nil {
		return err
	}
	ways, err := client.Reach(c.Context)
	if errors.Is(err, control.ErrOtherVersion) { // of such a node the rest is worth knowing
		ways, err = &controlv1.ReachResponse{}, nil
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(k.out, struct {
			statusView
			Reach reachView `json:"reach"`
		}{viewStatus(st), viewReach(ways)})
	}
	describe(k, st)
	printReach(k, ways)
	if w, err := client.ExplainWorker(c.Context); err == nil && w.Worker && w.FreeDevices > 0 {
		fmt.Fprintf(k.out, "%-10s %s\n", "idle", idle(w, time.Now()))
	}
	for _, cond := range st.Conditions {
		fmt.Fprintf(k.out, "%s: %s\n  %s\n", cond.Severity, cond.Sentence, cond.Remedy)
	}
	return nil
}

// describe prints what a node is, for up and status.
func describe(k console, st *controlv1.StatusResponse) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(k.out, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("node", "%s", st.PeerId)
	line("network", "%s, %d peers connected", st.Network, st.ConnectedPeers)
	line("process", "pid %d, data in %s", st.Pid, st.DataDir)
	switch {
	case !st.Worker:
		line("offers", "nothing: this node only rents")
	case len(st.Devices) == 0:
		line("offers", "nothing: no GPU found")
	default:
		line("offers", "%s, %d free, at %s credits per GPU-hour", deviceNames(st.Devices), st.FreeDevices, prices(st.Devices))
	}
	line("leases", "%d", st.Leases)
	for i, a := range st.Addresses {
		line([]string{"address", ""}[min(i, 1)], "%s", a)
	}
	if st.UploadedBytes > 0 || st.UploadMax > 0 {
		line("uploaded", "%s", uploads(st))
	}
	if st.StartedMs > 0 {
		line("up for", "%s", span(time.Since(time.UnixMilli(st.StartedMs))))
	}
}

// uploads says what others had of this node's images and files, and what they may have.
func uploads(st *controlv1.StatusResponse) string {
	text := size(st.UploadedBytes)
	if st.UploadMax > 0 {
		text += ", at most " + size(st.UploadMax) + " a second"
	}
	return text
}

// statusView is the status as --json prints it.
type statusView struct {
	PeerID     string          `json:"peer_id"`
	Network    string          `json:"network"`
	Addresses  []string        `json:"addresses"`
	Peers      uint32          `json:"connected_peers"`
	Worker     bool            `json:"worker"`
	Devices    []deviceView    `json:"devices"`
	Free       uint32          `json:"free_devices"`
	Leases     uint32          `json:"leases"`
	PID        int32           `json:"pid"`
	DataDir    string          `json:"data_dir"`
	Version    string          `json:"version"`
	Started    string          `json:"started"`
	Uploaded   uint64          `json:"uploaded_bytes"`
	UploadMax  uint64          `json:"upload_max,omitempty"`
	Conditions []conditionView `json:"conditions"`
}

// conditionView is a lasting trouble as --json prints it.
type conditionView struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Sentence string `json:"sentence"`
	Remedy   string `json:"remedy"`
}

func viewStatus(st *controlv1.StatusResponse) statusView {
	v := statusView{
		PeerID: st.PeerId, Network: st.Network, Addresses: append([]string{}, st.Addresses...), Peers: st.ConnectedPeers,
		Worker: st.Worker, Devices: deviceViews(st.Devices), Free: st.FreeDevices, Leases: st.Leases, PID: st.Pid,
		DataDir: st.DataDir, Version: st.Version, Started: rfc3339(st.StartedMs), Uploaded: st.UploadedBytes, UploadMax: st.UploadMax, Conditions: []conditionView{},
	}
	for _, c := range st.Conditions {
		v.Conditions = append(v.Conditions, conditionView{c.Code, c.Severity, c.Sentence, c.Remedy})
	}
	return v
}
