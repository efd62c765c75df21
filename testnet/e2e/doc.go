// Package e2e holds the tests of whole nodes as real processes, with real
// containers: what a person types, and what happens when something is killed.
package e2e
