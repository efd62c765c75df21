//go:build linux

// Command agent runs in the emulated machine and does there what testnet/vm asks
// for through a virtio port: one shell script after another.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/rigmesh/rigmesh/testnet/vm/wire"
)

func main() {
	if err := serve("/dev/virtio-ports/" + wire.Port); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

// serve says that the machine is up, and answers requests until the port closes.
func serve(path string) error {
	port, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer port.Close()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	out := json.NewEncoder(port)
	if err := out.Encode(wire.Answer{Boot: strings.TrimSpace(string(boot))}); err != nil {
		return err
	}
	in := json.NewDecoder(port)
	for {
		var request wire.Request
		if err := in.Decode(&request); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if err := out.Encode(run(request)); err != nil {
			return fmt.Errorf("answer request %d: %w", request.ID, err)
		}
	}
}

// run runs a script and gives what it printed, both streams in one.
func run(request wire.Request) wire.Answer {
	var out bytes.Buffer
	cmd := exec.Command("/bin/bash", "-c", request.Script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/root", &out, &out
	err := cmd.Run()
	answer := wire.Answer{ID: request.ID, Output: out.String(), Code: cmd.ProcessState.ExitCode()}
	if cmd.ProcessState == nil {
		answer.Output, answer.Code = err.Error(), 127
	}
	return answer
}
