//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// naive is a PID 1 as one would write it first: the job has its user, its
// capabilities, its place for the record and one descriptor too many.
func naive() int {
	exit := record.Exit{Started: time.Now(), Code: 125}
	if err := start(&exit); err != nil {
		exit.Error = err.Error()
	}
	exit.Ended = time.Now()
	if err := record.Write(record.DirPath, record.ExitFile, exit); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return exit.Code
}

func start(exit *record.Exit) error {
	var job record.Job
	if _, err := record.Read(record.DirPath, record.JobFile, &job); err != nil {
		return err
	}
	if err := record.Mark(record.DirPath, record.StartedFile); err != nil {
		return err
	}
	files := []uintptr{0}
	for _, name := range []string{record.StdoutFile, record.StderrFile, "."} {
		flags := unix.O_APPEND | unix.O_WRONLY
		if name == "." {
			flags = unix.O_DIRECTORY
		}
		fd, err := unix.Open(filepath.Join(record.DirPath, name), flags|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		files = append(files, uintptr(fd))
	}
	pid, err := syscall.ForkExec(job.Args[0], job.Args, &syscall.ProcAttr{Env: job.Env, Files: files})
	if err != nil {
		return err
	}
	var status syscall.WaitStatus
	for {
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil && err != syscall.EINTR {
			return err
		}
		if ended == pid {
			exit.Code = status.ExitStatus()
			return nil
		}
	}
}
