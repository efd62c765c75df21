package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func completionCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:      "completion",
		Usage:     "print what makes your shell complete commands, flags and jobs",
		Category:  categoryAll,
		ArgsUsage: "bash|zsh|fish",
		Description: "Let your shell read it when it starts. The name on your PATH must be rigmesh.\n\n" +
			examples(
				"echo 'source <(rigmesh completion bash)' >> ~/.bashrc",
				"echo 'source <(rigmesh completion zsh)' >> ~/.zshrc    # after compinit",
				"rigmesh completion fish > ~/.config/fish/completions/rigmesh.fish"),
		Action: func(c *cli.Context) error {
			script, ok := completions[c.Args().First()]
			if !ok {
				return hint(usagef("no completion for shell %q", c.Args().First()), "want bash, zsh or fish")
			}
			fmt.Fprint(k.out, strings.TrimLeft(script, "\n"))
			return nil
		},
	}, arguments{1, 1})
}

// completions ask rigmesh itself, by its hidden command complete: each line of the answer is
// a word, a tab and what it is. Where it knows nothing the shell completes files.
var completions = map[string]string{
	"bash": `
_rigmesh() {
	local IFS=$'\n'
	COMPREPLY=($(rigmesh complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _rigmesh rigmesh
`,
	"zsh": `
#compdef rigmesh
_rigmesh() {
	local line
	local -a found
	for line in "${(@f)$(rigmesh complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		[[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
	done
	if (( $#found )); then _describe rigmesh found; else _files; fi
}
compdef _rigmesh rigmesh
`,
	"fish": `
function __rigmesh
	set -l words (commandline -opc) (commandline -ct)
	rigmesh complete $words[2..-1] 2>/dev/null
end
complete -c rigmesh -a '(__rigmesh)'
`,
}
