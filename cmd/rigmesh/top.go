package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/urfave/cli/v2"

	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

func topCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:     "top",
		Usage:    "watch this machine's GPUs, leases and earnings",
		Category: categoryLend,
		Description: "On a terminal it stays and is drawn anew every second; p pauses, d drains, r resumes and q leaves. Into a\n" +
			"pipe, and with --once, it is printed once as a table.\n\n" +
			examples("rigmesh top", "rigmesh top --once", "rigmesh top --json | jq '.devices[].power_mw'"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "print it once and leave", DisableDefaultText: true},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error { return top(c, k) },
	}, arguments{0, 0})
}

func top(c *cli.Context, k console) error {
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	now, err := client.Devices(c.Context)
	switch {
	case err != nil:
		return err
	case c.Bool("json"):
		return printJSON(k.out, viewTop(now))
	case c.Bool("once") || !isTerminal(k.out):
		return printTop(k, now)
	}
	measure := func() int { return terminalWidth(k.out) }
	m := &topModel{ctx: c.Context, client: client, now: now, color: k.colored(k.out), measure: measure, width: measure()}
	p := tea.NewProgram(m, tea.WithContext(c.Context), tea.WithInput(k.in), tea.WithOutput(k.out), tea.WithoutSignalHandler())
	defer quitOnSignal(p)()
	if _, err = p.Run(); err == nil {
		err = m.err
	}
	return err
}

// quitOnSignal ends a program when somebody asks for it, also one that has only just drawn its
// first screen: its own handler may not be there yet. What it gives stops that.
func quitOnSignal(p *tea.Program) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			p.Quit()
		case <-done:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// topModel is the screen of top.
type topModel struct {
	ctx    context.Context
	client *control.Client
	now    *controlv1.ListDevicesResponse
	err    error  // the node is gone
	said   string // what a key led to
	color  bool

	measure func() int // how wide the terminal is
	width   int        // how wide it was
}

type (
	readAgain struct{}
	readDone  struct {
		now  *controlv1.ListDevicesResponse
		err  error
		tick bool // the reading of this second, which the next second's follows
	}
	wordDone struct{ text string }
)

// Init implements tea.Model.
func (m *topModel) Init() tea.Cmd { return m.later() }

func (m *topModel) later() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return readAgain{} })
}

func (m *topModel) read(tick bool) tea.Cmd {
	return func() tea.Msg {
		now, err := m.client.Devices(m.ctx)
		return readDone{now, err, tick}
	}
}

// Update implements tea.Model.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width = msg.Width
	case readAgain:
		if m.measure() != m.width { // it changed before anybody listened
			return m, tea.Batch(m.read(true), tea.RequestWindowSize)
		}
		return m, m.read(true)
	case readDone:
		if msg.err != nil {
			m.err = msg.err
			return m, tea.Quit
		}
		m.now = msg.now
		if !msg.tick {
			return m, nil
		}
		return m, m.later()
	case wordDone:
		m.said = msg.text
		return m, m.read(false)
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	return m, nil
}

func (m *topModel) key(name string) tea.Cmd {
	switch name {
	case "q", "esc", "ctrl+c":
		return tea.Quit
	}
	word, ok := map[string]controlv1.Word{"p": controlv1.Word_WORD_PAUSE, "d": controlv1.Word_WORD_DRAIN, "r": controlv1.Word_WORD_RESUME}[name]
	if !ok {
		return nil
	}
	return func() tea.Msg {
		leases, err := m.client.Say(m.ctx, word)
		if err != nil {
			return wordDone{err.Error()}
		}
		return wordDone{saidSentence(word, leases)}
	}
}

// View implements tea.Model.
func (m *topModel) View() tea.View {
	v := tea.NewView(topScreen{m.now, time.Now(), m.width, m.color, m.said}.String())
	v.AltScreen = true
	v.WindowTitle = "rigmesh top"
	return v
}

// printTop is top as a plain table.
func printTop(k console, now *controlv1.ListDevicesResponse) error {
	t := newTable(k.out, "GPU", "MODEL", "UTIL", "MEMORY", "POWER", "TEMP", "PRICE", "STATE", "JOB", "CREDITED", "AMOUNT", "ENERGY")
	for _, d := range now.Devices {
		row := []string{fmt.Sprint(d.Number), modelName(d), reading(d, percent), reading(d, memory), reading(d, watts), reading(d, degrees), credits(d.Price), standing(d)}
		if l := d.Lease; l != nil {
			row = append(row, l.Name, spanMS(l.CreditMs), credits(l.Amount), drawn(d))
		} else {
			row = append(row, "", "", "", "")
		}
		t.row(row...)
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintln(k.out, totals(now))
	return nil
}
