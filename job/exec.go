package job

import leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

// MaxExecPiece is the most of a program's input or output in one message, in bytes.
const MaxExecPiece = 64 << 10

// CheckExec says everything that is wrong with a request to run a program in a task. All of a
// request is done or none, as with a spec: one with fields that nobody here knows is refused.
func CheckExec(s *leasev1.ExecStart) error {
	p := newProblems()
	p.want(CheckKnown(s) == nil, "fields", "want none that this version of rigmesh does not know")
	p.words("args", s.GetArgs())
	switch n := len(s.GetArgs()); s.GetProgram() {
	case leasev1.ExecProgram_EXEC_PROGRAM_UNSPECIFIED:
		p.want(n > 0, "args", "want a program to run")
	case leasev1.ExecProgram_EXEC_PROGRAM_PACK:
		p.want(n == 1, "args", "want one path")
	case leasev1.ExecProgram_EXEC_PROGRAM_UNPACK:
		p.want(n == 2, "args", "want a path and a name")
	case leasev1.ExecProgram_EXEC_PROGRAM_ATTACH:
		p.want(n == 0, "args", "want none: it runs already")
		p.want(len(s.GetEnv()) == 0 && s.GetWorkdir() == "", "program", "want no variables and no folder: it runs already")
	default:
		p.add("program", "want one that is known, not %d", s.GetProgram())
	}
	p.env(s.GetEnv())
	if s.GetWorkdir() != "" {
		p.absolute("workdir", s.GetWorkdir())
	}
	if s.GetTerminal() != nil {
		p.windowSize("terminal", s.GetTerminal())
	}
	return p.err()
}

// CheckExecFrame says everything that is wrong with a message to a program that runs.
func CheckExecFrame(f *leasev1.ExecFrame) error {
	p := newProblems()
	switch f := f.GetFrame().(type) {
	case *leasev1.ExecFrame_Stdin:
		p.want(len(f.Stdin) <= MaxExecPiece, "stdin", "want at most %d bytes, not %d", MaxExecPiece, len(f.Stdin))
	case *leasev1.ExecFrame_StdinEnd, *leasev1.ExecFrame_Detach:
	case *leasev1.ExecFrame_Size:
		p.windowSize("size", f.Size)
	case *leasev1.ExecFrame_Signal:
		p.want(f.Signal >= 1 && f.Signal <= 31, "signal", "want 1 to 31, not %d", f.Signal)
	default:
		p.add("frame", "want a message to a program that runs")
	}
	return p.err()
}

func (p problems) windowSize(field string, s *leasev1.WindowSize) {
	p = p.in("%s", field)
	p.most("rows", uint64(s.GetRows()), 1<<16-1)
	p.most("columns", uint64(s.GetColumns()), 1<<16-1)
}
