package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNoTestSleepsForReal(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "bin", "tools", "testdata"}, entry.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if at := sleep(file); at.IsValid() && !importsBubble(file) {
			t.Errorf("%s sleeps for real: wait for what happens, or use testing/synctest", set.Position(at))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sleep is where a file calls time.Sleep first, or no position.
func sleep(file *ast.File) token.Pos {
	var at token.Pos
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok || at.IsValid() {
			return !at.IsValid()
		}
		if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "time" && call.Sel.Name == "Sleep" {
			at = call.Pos()
		}
		return true
	})
	return at
}

// importsBubble tells whether a file's tests run in a bubble, where sleeping
// takes no time and is how time passes.
func importsBubble(file *ast.File) bool {
	bubbles := []string{"testing/synctest", module + "/p2p/p2ptest", module + "/testnet/sim"}
	return slices.ContainsFunc(file.Imports, func(spec *ast.ImportSpec) bool {
		return slices.Contains(bubbles, strings.Trim(spec.Path.Value, `"`))
	})
}
